const networkCodes = new Set([
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EAI_AGAIN',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_SOCKET_CLOSED',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_WRITE_AFTER_END',
  'ETIMEDOUT',
  'PROTOCOL_CONNECTION_LOST', // mysql2's own
]);

/**
 * Whether the network failed, so that the server may be reachable again later. The code shows it, or the presence of a failed
 * system call. Other codes of Node and the drivers (ERR_STRING_TOO_LONG and its like) are bugs that another try cannot resolve.
 */
export function isNetworkError({ code, syscall }: { readonly code?: unknown; readonly syscall?: unknown }): boolean {
  return (
    typeof code === 'string' && (networkCodes.has(code) || (typeof syscall === 'string' && /^E[A-Z0-9]+$/.test(code)))
  );
}

/**
 * Whether a code of Node's TLS means that the other side is not trusted or not understood
 * (https://nodejs.org/api/tls.html#x509-certificate-error-codes). Another try cannot resolve that.
 */
export function isCertificateCode(code: string): boolean {
  return (
    /^(CERT_|CRL_|ERR_TLS_|ERR_SSL_|ERROR_IN_CERT_|ERROR_IN_CRL_|UNABLE_TO_)/.test(code) ||
    otherCertificateCodes.has(code)
  );
}

const otherCertificateCodes = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'EPROTO', // OpenSSL could not read what the other side sent
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
]);

export function certificateHint(side: 'SOURCE' | 'TARGET'): string {
  return (
    `The server's certificate was not accepted. Set ${side}_DB_TLS_CA to the PEM file of the authority that signed it. ` +
    `Connect by the host name in the certificate, or set ${side}_DB_TLS=verify-ca to accept any name. Check that it has not expired.`
  );
}
