/** What an expert is asked. Decoding is greedy: temperature 0. */
export interface ExpertRequest {
  readonly system: string | null;
  readonly user: string;
  /** Longest answer in tokens. */
  readonly maxTokens: number;
}
