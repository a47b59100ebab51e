import { describe, expect, it } from 'vitest';
import { traceContextOf } from '../../src/observe/trace-context.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

describe('traceContextOf', () => {
  it('reads what the standard has as an example, and later versions', () => {
    expect(traceContextOf(`00-${TRACE}-${SPAN}-01`)).toEqual({
      traceparent: `00-${TRACE}-${SPAN}-01`,
      traceId: TRACE,
      spanId: SPAN,
      flags: '01',
    });
    expect(traceContextOf(`cc-${TRACE}-${SPAN}-00-what-comes-later`)).toMatchObject({
      traceId: TRACE,
    });
  });

  it.each([
    undefined,
    null,
    '',
    'nothing of the kind',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE}-${SPAN}-1`,
    ` 00-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01\n`,
  ])('ignores %j', (text) => expect(traceContextOf(text)).toBeNull());
});
