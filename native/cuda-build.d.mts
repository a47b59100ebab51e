export const DEFAULT_ARCHITECTURES: readonly string[];
export function cudaArchitectures(
  asked: string | undefined,
  smi?: () => string | null,
): { readonly list: string; readonly from: string };
export function buildMinutes(architectures: string | null, nCores: number): number;
export function findNvcc(): { readonly nvcc: string; readonly version: string } | null;
export function whyWithoutCuda(output: string): string | null;
