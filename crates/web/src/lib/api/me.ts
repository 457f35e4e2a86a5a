/** One's own account. */

import { call } from './call';
import type { List, LoginEntry, User } from './types';

export const rename = (display_name: string): Promise<User> => call('patch', '/me', { body: { display_name } });

export const deleteAccount = (password: string): Promise<void> => call('delete', '/me', { body: { password } });

export const changePassword = (current: string, next: string): Promise<void> =>
  call('post', '/me/password', { body: { current, new: next } });

export const logins = (): Promise<List<LoginEntry>> => call('get', '/me/logins');

export const endLogin = (id: string): Promise<void> => call('delete', '/me/logins/{login}', { path: { login: id } });

export const logOutEverywhere = (): Promise<void> => call('post', '/auth/logout-everywhere');

export const startTotp = (password: string): Promise<{ secret: string; otpauth_url: string }> =>
  call('post', '/me/totp', { body: { password } });

export const confirmTotp = (code: string): Promise<{ recovery_codes: string[] }> =>
  call('post', '/me/totp/confirm', { body: { code } });

export const endTotp = (password: string): Promise<void> => call('delete', '/me/totp', { body: { password } });
