/** Numbers of rows in their file. */

/** `nRows` numbers from `first` on. */
export function rowNumbers(first: bigint, nRows: number): BigInt64Array {
  return BigInt64Array.from({ length: nRows }, (_, row) => first + BigInt(row));
}
