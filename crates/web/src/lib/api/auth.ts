/** Logging in and out, and what comes before it. */

import { call } from './call';
import type { Instance, LoginAnswer } from './types';

export interface Credentials {
  email: string;
  password: string;
  /** Six digits, or a recovery code. */
  totp?: string;
}

export const getInstance = (): Promise<Instance> => call('get', '/instance', { anonymous: true });

export const setup = (body: { token: string; email: string; password: string; display_name?: string }): Promise<LoginAnswer> =>
  call('post', '/auth/setup', { body, anonymous: true });

export const register = (body: {
  email: string;
  password: string;
  display_name?: string;
  invitation?: string;
}): Promise<{ email: string }> => call('post', '/auth/register', { body, anonymous: true });

export const logIn = (body: Credentials): Promise<LoginAnswer> => call('post', '/auth/login', { body, anonymous: true });

export const forgotPassword = (email: string): Promise<void> =>
  call('post', '/auth/password/forgot', { body: { email }, anonymous: true });

export const resetPassword = (token: string, password: string): Promise<void> =>
  call('post', '/auth/password/reset', { body: { token, password }, anonymous: true });
