import type { Outcome } from '../../model/probe.ts';

/** What ICMP "unreachable" and "prohibited" become at a socket; EACCES and EPERM are local routes and filters. */
const UNREACHABLE = new Set([
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EACCES',
  'EPERM',
  'EHOSTDOWN',
  'ENONET',
  'ENETDOWN',
]);

export interface Failure {
  readonly outcome: Outcome;
  readonly detail: string;
}

/** What a socket error says about the path. @param connected whether the connection had been accepted before */
export function failureOf(error: NodeJS.ErrnoException, connected: boolean): Failure {
  const code = error.code ?? '';
  const detail = error.syscall
    ? `${error.syscall} ${code}`
    : code
      ? `${code}: ${error.message}`
      : error.message;
  if (code === 'ECONNREFUSED') return { outcome: 'refused', detail };
  if (UNREACHABLE.has(code)) return { outcome: 'unreachable', detail };
  if (code === 'ETIMEDOUT') return { outcome: 'timed-out', detail };
  if (code === 'ECONNRESET' && !error.syscall) {
    // node:http says so of a connection that ended in good order before there was an answer.
    return { outcome: 'closed', detail: 'ended without an answer' };
  }
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') {
    return { outcome: connected ? 'reset' : 'refused', detail };
  }
  if (code.startsWith('HPE_') || code.startsWith('ERR_HTTP2_')) return { outcome: 'garbled', detail };
  return { outcome: 'error', detail };
}
