/**
 * Imported first by what runs as a child of ours: it lives no longer than its parent, and leaves the signals to it.
 *
 * A signal to a group reaches the children too. What is finished then is the parent's to say; it ends the child by
 * closing the channel. Until this module runs the channel is what ends it: its end is noticed when it is first read.
 */
import { native } from '../native/index.ts';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// Threads that compute are not waited for: nothing of theirs is wanted any more.
process.on('disconnect', () => native().exitNow(0));
native().dieWithParent(Number(process.argv[2]));
if (!process.connected) native().exitNow(0);
