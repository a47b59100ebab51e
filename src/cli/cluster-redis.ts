/** What the queue commands have in common: the server's address, and the board on it. */
import { GristmillError } from '../errors.ts';
import { Board } from '../work/queue/board.ts';
import { connectRedis, REDIS_VARIABLE } from '../work/queue/redis.ts';

/** Whether a server is named at all. */
export function hasBoard({ redis }: { readonly redis?: string }): boolean {
  return Boolean(redis ?? process.env[REDIS_VARIABLE]);
}

/**
 * Does work on the board of the server that a flag or the environment names.
 *
 * @param onNotice told when the server goes away and comes back
 */
export async function onBoard<T>(
  { redis }: { readonly redis?: string },
  work: (board: Board) => Promise<T>,
  onNotice?: (line: string) => void,
): Promise<T> {
  const url = redis ?? process.env[REDIS_VARIABLE];
  if (url === undefined || url === '') {
    const expected = `the address of a Redis server, or ${REDIS_VARIABLE}`;
    throw new GristmillError('OPTION_INVALID', {
      option: '--redis',
      expected,
      received: 'nothing',
    });
  }
  const board = new Board(await connectRedis(url, onNotice));
  try {
    return await work(board);
  } finally {
    await board.close();
  }
}
