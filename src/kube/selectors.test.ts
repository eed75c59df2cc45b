import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatSelector,
  fromLabelSelector,
  type Labels,
  matches,
  matchesFields,
  parseFieldSelector,
  parseSelector,
  type Requirement,
} from './selectors.ts';

const cases: [selector: string, labels: Labels, expected: boolean][] = [
  ['', { a: '1' }, true],
  ['', undefined, true],
  ['a=1', { a: '1' }, true],
  ['a==1', { a: '1' }, true],
  ['a=1', { a: '2' }, false],
  ['a=1', undefined, false],
  ['a!=1', {}, true],
  ['a!=1', { a: '1' }, false],
  ['a', { a: '' }, true],
  ['a=', { a: '' }, true],
  ['a=', {}, false],
  ['!a', {}, true],
  ['!a', { a: '' }, false],
  ['a in (1, 2)', { a: '2' }, true],
  ['a in (1,2)', { a: '3' }, false],
  ['a in (,2)', { a: '' }, true],
  ['a notin (1,2)', { a: '3' }, true],
  ['a notin (1,2)', {}, true],
  ['a>5', { a: '6' }, true],
  ['a>5', { a: 'x' }, false],
  ['a<5', { a: '4' }, true],
  ['app.kubernetes.io/name=web, tier in (a), !x', { 'app.kubernetes.io/name': 'web', tier: 'a' }, true],
  ['constructor', {}, false],
  ['in=1', { in: '1' }, true],
];

test('label selectors select as kubectl and apimachinery do', () => {
  for (const [selector, labels, expected] of cases)
    assert.equal(matches(parseSelector(selector), labels), expected, `"${selector}" on ${JSON.stringify(labels)}`);
});

test('a broken label selector is told with its position', () => {
  for (const text of ['a=b=c', 'a in 1', 'a in (1', ',a', 'a,', '=x', 'a>b', 'a in ()x', 'a b'])
    assert.throws(() => parseSelector(text), SyntaxError, text);
  assert.throws(() => parseSelector('good=1,a in 1'), /position 12/);
});

test('an absent LabelSelector selects nothing, an empty one everything', () => {
  assert.equal(fromLabelSelector(undefined), undefined);
  assert.equal(matches(fromLabelSelector({})!, { any: 'thing' }), true);
  assert.throws(() => fromLabelSelector({ matchExpressions: [{ key: 'a', operator: 'Near', values: ['b'] }] }), /valid are In/);
  assert.throws(() => fromLabelSelector({ matchExpressions: [{ key: 'a', operator: 'In' }] }), /needs values/);
});

test('the string form of a selector is read back as the same selector', () => {
  const word = fc.stringMatching(/^[a-z0-9]{1,6}$/);
  const requirement = fc.oneof(
    fc.record({
      key: word,
      operator: fc.constantFrom('In' as const, 'NotIn' as const),
      values: fc.uniqueArray(word, { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ key: word, operator: fc.constantFrom('Exists' as const, 'DoesNotExist' as const), values: fc.constant([]) }),
  );
  fc.assert(
    fc.property(fc.array(requirement, { maxLength: 4 }), (all) => {
      const selector: Requirement[] = all.map((one) => ({ ...one, values: [...one.values].sort() }));
      assert.deepEqual(parseSelector(formatSelector(selector)), selector);
    }),
  );
});

test('field selectors compare by path, with escapes', () => {
  const pod = { metadata: { name: 'a,b' }, spec: { nodeName: 'n1' }, status: {} };
  assert.ok(matchesFields(parseFieldSelector('spec.nodeName=n1,metadata.name!=x'), pod));
  assert.ok(matchesFields(parseFieldSelector('metadata.name=a\\,b'), pod));
  assert.ok(matchesFields(parseFieldSelector('status.phase='), pod));
  assert.ok(!matchesFields(parseFieldSelector('spec.nodeName!=n1'), pod));
  assert.throws(() => parseFieldSelector('spec.nodeName'), /expected FIELD=VALUE/);
});
