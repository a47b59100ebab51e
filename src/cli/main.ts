#!/usr/bin/env node
/**
 * What is started as `gristmill`: it listens to signals, and then loads the program (program.ts), which takes a while.
 */
import './first-signals.ts';

await import('./program.ts');
