/** The entry of a Piscina worker. */
import { move } from 'piscina';
import { type ExecutionTask, runTask } from './execute-task.ts';

/** Executes a stretch of a batch; the result's buffer is transferred, not copied. */
export default function work(task: ExecutionTask): unknown {
  return move(runTask(task));
}
