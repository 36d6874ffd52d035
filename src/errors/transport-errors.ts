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

type Side = 'SOURCE' | 'TARGET';

/** Where a server is, as messages name it. */
export function addressOf({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

interface UnreachableCause {
  readonly words: string;
  readonly hint: (side: Side) => string;
}

const noRoute: UnreachableCause = {
  words: 'no route',
  hint: (side) =>
    `This machine has no way to that address: check ${side}_DB_HOST, the network, and a VPN if there is one.`,
};
const listening = {
  SOURCE: 'bind-address, skip-networking',
  TARGET: 'listen_addresses',
} as const;
const unreachableCauses: Readonly<Record<string, UnreachableCause>> = {
  ENOTFOUND: {
    words: 'the name is unknown',
    hint: (side) => `No address is known for this name: check ${side}_DB_HOST, and the name servers of this machine.`,
  },
  EAI_AGAIN: {
    words: 'the name servers do not answer',
    hint: (side) =>
      `The name servers of this machine do not answer: check its network and DNS, or set ${side}_DB_HOST to an address.`,
  },
  ECONNREFUSED: {
    words: 'refused',
    hint: (side) =>
      `Nothing listens at this port: check ${side}_DB_PORT, and that the server is up and listens on this address (${listening[side]}).`,
  },
  ETIMEDOUT: {
    words: 'no answer',
    hint: (side) =>
      `Nothing answers: a firewall drops the packets, or the machine is off. Check ${side}_DB_HOST, ${side}_DB_PORT and the firewalls.`,
  },
  EHOSTDOWN: noRoute,
  EHOSTUNREACH: noRoute,
  ENETDOWN: noRoute,
  ENETUNREACH: noRoute,
};

/** Why a server cannot be reached, if the code tells it. */
export function unreachableCause(code: unknown): UnreachableCause | undefined {
  return typeof code === 'string' ? unreachableCauses[code] : undefined;
}

const unknownAuthority = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_UNTRUSTED',
]);

export function certificateHint(side: Side, code: string | null): string {
  if (code !== null && unknownAuthority.has(code))
    return `No authority that is trusted here signed the server's certificate. Set ${side}_DB_TLS_CA to the PEM file of the authority that signed it.`;
  switch (code) {
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
    case 'HOSTNAME_MISMATCH':
      return `The server's certificate is for another name than ${side}_DB_HOST. Connect by the name in the certificate, or set ${side}_DB_TLS=verify-ca to accept any name.`;
    case 'CERT_HAS_EXPIRED':
      return "The server's certificate, or that of its authority, has expired. Renew it at the server, and check the clock of this machine.";
    case 'CERT_NOT_YET_VALID':
      return "The server's certificate is not valid yet. Check the clocks of this machine and of the server.";
    default:
      return (
        `The server's certificate was not accepted. Set ${side}_DB_TLS_CA to the PEM file of the authority that signed it. ` +
        `Connect by the host name in the certificate, or set ${side}_DB_TLS=verify-ca to accept any name. Check that it has not expired.`
      );
  }
}
