import type { Target } from '../session.ts';

declare const fenced: unique symbol;
declare const requested: unique symbol;

/** A transaction of the lease holder; see fence.ts. Rows, tables and the state of a replica are written in such a one only. */
export type Fenced = Target & { readonly [fenced]: true };

/** A transaction of a person, who asks the lease holder for something; see requests.ts. */
export type Requested = Target & { readonly [requested]: true };

/** A transaction of either. */
export type Writable = Fenced | Requested;
