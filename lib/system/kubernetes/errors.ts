/** What can go wrong between this program and an API server, told apart. */

export type KubernetesFailure =
  /** The API server said no; `status` and `reason` are its own words. */
  | 'refused'
  | 'not-found'
  | 'forbidden'
  | 'unauthorized'
  | 'conflict'
  /** Nothing answers at the address. */
  | 'unreachable'
  /** The answer does not prove to be the API server's, or this program not to be the user. */
  | 'tls'
  | 'timed-out'
  /** The kubeconfig: not there, no such context, credentials that its plugin does not give. */
  | 'kubeconfig';

export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly failure: KubernetesFailure;
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined;
  /** `reason` of the API's Status, such as `AlreadyExists`. */
  readonly reason: string | undefined;

  constructor(
    failure: KubernetesFailure,
    message: string,
    details: { status?: number; reason?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: details.cause });
    this.failure = failure;
    this.status = details.status;
    this.reason = details.reason;
  }
}

/** An answer that is no success, from its status line and its body, which should be a Status (but need not). */
export function refusal(what: string, status: number, body: string): KubernetesError {
  const { message, reason } = statusOf(body);
  const said = message ?? (body.trim().slice(0, 300) || `HTTP ${status}`);
  return new KubernetesError(failureOf(status), `${what}: ${said}`, {
    status,
    ...(reason !== undefined && { reason }),
  });
}

function failureOf(status: number): KubernetesFailure {
  switch (status) {
    case 401:
      return 'unauthorized';
    case 403:
      return 'forbidden';
    case 404:
      return 'not-found';
    case 409:
      return 'conflict';
    default:
      return 'refused';
  }
}

/** Whether an answer is the API server's own Status, and not of something behind it. */
export function isStatus(body: string): boolean {
  try {
    const value = JSON.parse(body) as { kind?: unknown; status?: unknown } | null;
    return value?.kind === 'Status' && value.status === 'Failure';
  } catch {
    return false;
  }
}

function statusOf(body: string): { message?: string; reason?: string } {
  try {
    const value = JSON.parse(body) as { message?: unknown; reason?: unknown } | null;
    return {
      ...(typeof value?.message === 'string' && value.message !== '' && { message: value.message }),
      ...(typeof value?.reason === 'string' && { reason: value.reason }),
    };
  } catch {
    return {};
  }
}

const TLS_CODE = /CERT|TLS|SSL|SELF_SIGNED|UNABLE_TO_(?:GET|VERIFY)|^EPROTO$/;

/** Something that kept a request from being answered. */
export function transportFailure(what: string, server: string, error: unknown): KubernetesError {
  if (error instanceof KubernetesError) return error;
  const { code, message } = deepest(error);
  if (/Abort|Timeout/.test(nameOf(error)) || code === 'UND_ERR_HEADERS_TIMEOUT') {
    return new KubernetesError('timed-out', `${what}: ${server} did not answer in time`, { cause: error });
  }
  if (code !== undefined && TLS_CODE.test(code)) {
    return new KubernetesError('tls', `${what}: no trusted connection to ${server}: ${message} (${code})`, {
      cause: error,
    });
  }
  return new KubernetesError('unreachable', `${what}: ${server} cannot be reached: ${message}`, {
    cause: error,
  });
}

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

/** fetch() wraps what happened, and several addresses make an AggregateError without words of its own. */
function deepest(error: unknown): { code?: string; message: string } {
  let current: unknown = error;
  for (let depth = 0; depth < 5; depth++) {
    const next: unknown =
      current instanceof AggregateError ? current.errors[0] : (current as { cause?: unknown } | null)?.cause;
    if (next === undefined || next === null) break;
    current = next;
  }
  const { code, message } = (current ?? {}) as { code?: unknown; message?: unknown };
  return {
    ...(typeof code === 'string' && { code }),
    message: typeof message === 'string' && message !== '' ? message : String(current),
  };
}
