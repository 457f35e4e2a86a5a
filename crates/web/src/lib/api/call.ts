/** Requests that the API's description knows: a wrong path, field or answer doesn't compile. */

import { fill, request, type Ask, type Query } from './http';
import type { paths } from './schema';
import type { Told } from './types';

type Root = '/api/v1';
type Verb = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** What is described, by its address without the root. */
type Described = { [P in keyof paths as P extends `${Root}${infer Rest}` ? Rest : never]: paths[P] };

/** None where the address doesn't know the verb. */
type Operation<V extends Verb, P extends keyof Described> = V extends keyof Described[P] ? Described[P][V] : never;

type Json<R> = R extends { content: { 'application/json': infer T } } ? Told<T> : void;
type Good<R> = { [S in keyof R]: S extends 200 | 201 | 202 | 204 ? Json<R[S]> : never }[keyof R];
export type Answer<O> = O extends { responses: infer R } ? Good<R> : never;

type Loose<T> = { [K in keyof T]: T[K] | undefined };
type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } }
  ? { body: B }
  : O extends { requestBody?: { content: { 'application/json': infer B } } }
    ? { body?: B }
    : { body?: never };
type Path<O> = O extends { parameters: { path: infer N extends object } } ? { path: N } : { path?: never };
type Asked<O> = O extends { parameters: { query?: infer Q } } ? { query?: Loose<Q> } : { query?: never };
type Full<O> = Omit<Ask, 'body'> & Body<O> & Path<O> & Asked<O>;
type Needed<O> = [O] extends [never] ? never : object extends Full<O> ? [ask?: Full<O>] : [ask: Full<O>];

export async function call<V extends Verb, P extends keyof Described>(
  verb: V,
  path: P,
  ...asked: Needed<Operation<V, P>>
): Promise<Answer<Operation<V, P>>> {
  const [ask] = asked as [(Ask & { path?: Record<string, string>; query?: Query })?];
  const { path: names, query, ...rest } = ask ?? {};
  const response = await request(verb.toUpperCase(), fill(path, names, query), rest);
  const empty = response.status === 204 || response.status === 202;
  return (empty ? undefined : await response.json()) as Answer<Operation<V, P>>;
}
