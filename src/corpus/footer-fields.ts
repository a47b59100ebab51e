/** Fields of a footer's Thrift structs: text, numbers, structs and lists, and what is said where they are not there. */
import type { ThriftStruct, ThriftValue } from './thrift.ts';

/** The footer is damaged. */
export class FooterError extends Error {}

/** The file is valid, and nothing here reads it. */
export class UnsupportedError extends Error {}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

export function text(value: ThriftValue | undefined): string | undefined {
  return value instanceof Uint8Array ? lossy.decode(value) : undefined;
}

export function isStruct(value: ThriftValue | undefined): value is ThriftStruct {
  return value instanceof Map;
}

export function struct(value: ThriftValue | undefined): ThriftStruct {
  if (isStruct(value)) return value;
  throw new FooterError('its footer is damaged: a value where a struct belongs');
}

export function list(from: ThriftStruct, id: number, what: string): readonly ThriftValue[] {
  const value = from.get(id);
  if (Array.isArray(value)) return value as readonly ThriftValue[];
  throw new FooterError(`its footer is damaged: it has no ${what}`);
}

export function integer(from: ThriftStruct, id: number): bigint | undefined {
  const value = from.get(id);
  return typeof value === 'bigint' ? value : undefined;
}

export function number(from: ThriftStruct, id: number): number | undefined {
  const value = integer(from, id);
  return value === undefined ? undefined : Number(value);
}
