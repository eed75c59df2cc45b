import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Warming } from './compilation.ts';

test('an agent is warm after two thousand answers, and no second time', () => {
  let ended = 0;
  const warming = new Warming(() => ended++);
  for (let i = 0; i < 1999; i++) warming.answered();
  assert.equal(ended, 0);
  for (let i = 0; i < 5000; i++) warming.answered();
  assert.equal(ended, 1);
});
