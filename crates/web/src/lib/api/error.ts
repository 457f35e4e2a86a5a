/** Why the API gave no answer, in words that can be shown. */

export type Kind = 'missing' | 'refused' | 'server' | 'unreachable';

export interface FieldProblem {
  field: string;
  problem: string;
}

interface Facts {
  status?: number;
  /** Stable and machine readable: `invalid`, `totp_required`, … */
  code?: string;
  fields?: FieldProblem[];
  retryAfterS?: number;
}

export class ApiError extends Error {
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly fields: FieldProblem[];
  readonly retryAfterS: number | undefined;

  constructor(
    readonly kind: Kind,
    message: string,
    facts: Facts = {},
  ) {
    super(message);
    this.status = facts.status;
    this.code = facts.code;
    this.fields = facts.fields ?? [];
    this.retryAfterS = facts.retryAfterS;
  }
}

/** As a sentence: a capital letter first, a full stop last. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const whole = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}

interface Problem {
  detail?: string;
  title?: string;
  code?: string;
  errors?: FieldProblem[];
}

/** What an answer that isn't a success says. */
export function fromAnswer(status: number, problem: Problem, retryAfter: string | null): ApiError {
  const said = sentence(problem.detail ?? problem.title ?? `The server answered ${status}`);
  const seconds = Number(retryAfter);
  const waits = retryAfter !== null && Number.isFinite(seconds) && seconds > 0;
  const message = status === 429 ? `Too many tries. Wait ${waits ? `${seconds} s` : 'a minute'}, then try again.` : said;
  const kind: Kind = status === 404 ? 'missing' : status >= 500 ? 'server' : 'refused';
  return new ApiError(kind, message, {
    status,
    ...(problem.code === undefined ? {} : { code: problem.code }),
    fields: problem.errors ?? [],
    ...(waits ? { retryAfterS: seconds } : {}),
  });
}

/** Any thrown thing as something to show. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('server', 'Something went wrong in this page. Reload it and try again.');
}
