import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Policy, policyName } from '../model.ts';
import { readPolicy } from '../policies.ts';
import { networkPolicy } from '../testkit/objects.ts';
import { Random } from '../testkit/random.ts';
import { randomNetworksCase } from '../testkit/random-networks.ts';
import { withMost } from '../testkit/with-most.ts';
import { type Limit, PolicyLimits, withinLimits } from './limits.ts';
import { networkLimit } from './networks.ts';
import { peerLimit } from './peers.ts';
import { portLimit } from './ports.ts';

const limits = { networkLimit, peerLimit, portLimit };
const most = { overlap: { namespace: 40, cluster: 30 }, peers: { namespace: 4, cluster: 4 }, ports: { namespace: 60, cluster: 30_000 } };

/** Policies of a few namespaces, as they might come. */
const policiesOf = (seed: number): Policy[] => randomNetworksCase(seed).objects.flatMap((object) => readPolicy(object) ?? []);

test('policies that come, go and change one by one are closed as all at once would be: 60 histories', () => {
  const counts = { over: 0, within: 0 };
  withMost(most, () => {
    for (let seed = 1; seed <= 60; seed++) {
      const [random, one, present] = [new Random(seed), new PolicyLimits(), new Map<string, Policy>()];
      const left = new Map<Policy, Policy>();
      for (const policy of random.shuffle([1, 2, 3, 4].flatMap((k) => policiesOf(10 * seed + k)))) {
        const before = present.get(policyName(policy));
        if (before) one.delete(before);
        one.add(policy);
        present.set(policyName(policy), policy);
        if (random.chance(0.3)) {
          const gone = random.pick([...present.values()]);
          one.delete(gone);
          present.delete(policyName(gone));
        }
        if (random.chance(0.3)) continue;
        for (const changed of one.settle()) left.set(changed, one.of(changed));
        const now = [...present.values()];
        const wanted = withinLimits(now);
        assert.deepEqual(now.map((each) => one.of(each)), wanted, `seed ${seed}`);
        assert.deepEqual(now.map((each) => left.get(each) ?? each), wanted, `seed ${seed}: what is told to be another`);
        counts[wanted.every((each, i) => each === now[i]) ? 'within' : 'over']++;
      }
    }
  });
  assert.ok(counts.over > 100 && counts.within > 100, JSON.stringify(counts));
});

for (const [name, limit] of Object.entries(limits))
  test(`a book never says less than there is: ${name}`, () => {
    for (let seed = 1; seed <= 60; seed++) {
      const [random, book, present] = [new Random(seed), limit.book(), new Set<Policy>()];
      for (const policy of policiesOf(seed).filter(({ namespace }) => namespace === 'red')) {
        book.add(policy);
        present.add(policy);
        if (random.chance(0.4)) {
          const gone = random.pick([...present]);
          book.delete(gone);
          present.delete(gone);
        }
        const claims = claimsOf(limit, present);
        const { size } = limit.sizeOf(claims, limit === networkLimit ? 1e9 : 0);
        assert.ok(book.bound >= size, `seed ${seed}: ${book.bound} of ${size}`);
        if (random.chance(0.5)) book.counted?.(limit.sizeOf(claims, limit === networkLimit ? 1e9 : 0).size, claims);
      }
    }
  });

const claimsOf = (limit: Limit, policies: Iterable<Policy>) => [...policies].flatMap(limit.claimsOf);

test('among thousands of policies one more is not counted with all others where there surely is room', () => {
  const block = (i: number) => ({ ipBlock: { cidr: `198.18.${i >> 8}.${i & 255}/32` } });
  const policyOf = (i: number) =>
    readPolicy(networkPolicy(`shop/p${i}`, { podSelector: {}, ingress: [{ from: [block(2 * i), { podSelector: { matchLabels: { app: `a${i}` } } }], ports: [{ port: 8000 + (i % 20) }] }] }))!;
  const books = Object.values(limits).map((limit) => ({ limit, book: limit.book() }));
  const all = Array.from({ length: 2000 }, (_, i) => policyOf(i));
  for (const { limit, book } of books) {
    for (const policy of all) book.add(policy);
    if (book.bound > limit.most.namespace) book.counted?.(limit.sizeOf(claimsOf(limit, all), limit.most.namespace).size, claimsOf(limit, all));
    for (let i = 2000; i < 2100; i++) book.add(policyOf(i));
    assert.ok(book.bound <= limit.most.namespace, `${limit.closed}: ${book.bound}`);
  }
});
