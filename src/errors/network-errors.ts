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
 * Whether a failure is of the way to a server, which may be there again later: by its code, or because the system call that
 * failed is told. Other codes of Node and the drivers (ERR_STRING_TOO_LONG and its like) are mistakes that no new try cures.
 */
export function isNetworkError({ code, syscall }: { readonly code?: unknown; readonly syscall?: unknown }): boolean {
  return (
    typeof code === 'string' && (networkCodes.has(code) || (typeof syscall === 'string' && /^E[A-Z0-9]+$/.test(code)))
  );
}
