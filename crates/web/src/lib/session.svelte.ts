/** Who is logged in. The token lives in memory only; a cookie that scripts can't read renews it. */

import { ApiError, asApiError } from './api/error';
import { call } from './api/call';
import { useLogin } from './api/http';
import type { LoginAnswer, User } from './api/types';
import { keep, recall } from './theme';
import { inTurn } from './turns';

export type Standing = 'anonymous' | 'restoring' | 'in';

/** Says only that there was a login here: without it, nothing is asked. */
const HINT = 'logged-in';
const LOCK = 'streamr-refresh';
const RENEW_BEFORE_MS = 60_000;
const TRY_AGAIN_MS = 4000;

class Session {
  standing = $state<Standing>('anonymous');
  user = $state.raw<User | undefined>(undefined);
  /** Why it can't be said yet who is logged in. */
  problem = $state.raw<ApiError | undefined>(undefined);

  #token: string | undefined;
  #expiresAt = 0;
  #renewing: Promise<boolean> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #tabs = 'BroadcastChannel' in globalThis ? new BroadcastChannel('streamr-session') : undefined;
  #leaving = new Set<() => void>();

  constructor() {
    useLogin({ token: () => this.#token, renew: () => this.renew() });
    this.#tabs?.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (event.data === 'out') this.#forget();
      if (event.data === 'in') void this.restore();
    });
    globalThis.document?.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.#token && Date.now() > this.#expiresAt - RENEW_BEFORE_MS) {
        void this.renew();
      }
    });
  }

  /** Finds out who is logged in here; asks nothing where nobody was. */
  async restore(): Promise<void> {
    if (recall(HINT) === undefined) return;
    if (this.standing === 'anonymous') this.standing = 'restoring';
    await this.renew();
  }

  /** A new token, one request for all who wait for it. */
  renew(): Promise<boolean> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** Settled when it is known whether somebody is logged in. */
  async known(): Promise<Standing> {
    if (this.standing === 'restoring') await this.renew();
    return this.standing;
  }

  enter(answer: LoginAnswer): void {
    this.#take(answer);
    keep(HINT, 'yes');
    this.#tabs?.postMessage('in');
  }

  changed(user: User): void {
    this.user = user;
  }

  async leave(): Promise<void> {
    await inTurn(LOCK, () => call('post', '/auth/logout', { keepalive: true })).catch(() => undefined);
    this.ended();
  }

  /** The login is over, here and in the other tabs. */
  ended(): void {
    this.#forget();
    this.#tabs?.postMessage('out');
  }

  /** What must not outlive a login. */
  onleave(forget: () => void): void {
    this.#leaving.add(forget);
  }

  async #renew(): Promise<boolean> {
    try {
      this.#take(await inTurn(LOCK, () => call('post', '/auth/refresh', { anonymous: true, keepalive: true })));
      return true;
    } catch (error) {
      const problem = asApiError(error);
      if (problem.status === 401 || problem.status === 403) {
        this.#forget();
        return false;
      }
      this.problem = problem;
      this.#later(TRY_AGAIN_MS);
      return false;
    }
  }

  #take(answer: LoginAnswer): void {
    this.#token = answer.access_token;
    this.#expiresAt = Date.now() + answer.expires_in * 1000;
    this.user = answer.user;
    this.problem = undefined;
    this.standing = 'in';
    this.#later(Math.max(answer.expires_in * 1000 - RENEW_BEFORE_MS, TRY_AGAIN_MS));
  }

  #later(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.renew(), ms);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#token = undefined;
    this.user = undefined;
    this.problem = undefined;
    this.standing = 'anonymous';
    keep(HINT, undefined);
    for (const forget of this.#leaving) forget();
  }
}

export const session = new Session();
