/** Answers of the inspector's server. */

/** What is sent. */
export interface Reply {
  readonly body: string | Uint8Array;
  /** Default JSON. */
  readonly type?: string;
  /** Name of the file that a browser is to keep it as. */
  readonly download?: string;
}

/** A request that is wrong. */
export class ApiFailure extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** An answer in JSON. */
export function json(value: unknown): Reply {
  return { body: JSON.stringify(value) };
}
