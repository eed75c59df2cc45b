import assert from 'node:assert/strict';
import { test } from 'node:test';
import { families } from '../net/ip.ts';
import { compare } from './compare.ts';
import { evaluate } from './evaluate.ts';
import { explainPod } from './explain.ts';
import { selects } from './match.ts';
import { matrixOf } from './matrix.ts';
import type { Packet } from './packet.ts';
import { cidrsOf, partiesOf } from './parties.ts';
import type { AnyObject } from './policies.ts';
import { readWorld } from './read-world.ts';
import { reasonText } from './reason-text.ts';
import { Random, randomAllowRule, randomCase } from './testkit/random.ts';
import { judgeAll, type Traffic } from './traffic.ts';
import type { World } from './world.ts';

/** Case by case, with the seed of the one that fails. */
function forEachCase(count: number, check: (one: ReturnType<typeof randomCase>, random: Random) => void, options = {}): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      check(randomCase(seed, options), new Random(seed + 1_000_000));
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
}

const verdictText = (world: World, packet: Packet): string => {
  const { allowed, egress, ingress } = evaluate(world, packet);
  return `${allowed}; ${reasonText(egress)}; ${reasonText(ingress)}`;
};

interface PolicySpec {
  ingress?: object[];
  egress?: object[];
}
const policiesIn = (objects: readonly AnyObject[], kind = /NetworkPolicy$/): AnyObject[] =>
  objects.filter((object) => kind.test(object.kind!));

/** The objects with one of them changed, on a copy. */
function changed(objects: readonly AnyObject[], one: AnyObject, change: (spec: PolicySpec) => void): AnyObject[] {
  const copy = structuredClone(one);
  change(copy.spec as PolicySpec);
  return objects.map((object) => (object === one ? copy : object));
}

test('generated cases are of all sorts: allowed and denied, for every reason, by every kind of policy', () => {
  const seen = new Map<string, number>();
  const see = (what: string): void => void seen.set(what, (seen.get(what) ?? 0) + 1);
  forEachCase(1500, ({ objects, packets }) => {
    const world = readWorld(objects);
    for (const packet of packets) {
      const { allowed, egress, ingress } = evaluate(world, packet);
      see(String(allowed));
      for (const { reason, passed, direction } of [egress, ingress]) {
        see(reason.code === 'rule' ? `${direction} ${reason.policy.kind} ${reason.action}` : `${direction} ${reason.code}`);
        if (passed.length > 0) see(`${direction} passed`);
        if (reason.code === 'rule' && reason.peer !== undefined) see(reason.rule.peers![reason.peer]!.kind);
        if (reason.code === 'rule' && reason.port !== undefined) see(reason.rule.ports![reason.port]!.kind);
      }
    }
  });
  const rules = ['ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'].flatMap((kind) => [
    `${kind} Accept`,
    `${kind} Deny`,
  ]);
  const reasons = [...rules, 'NetworkPolicy Accept', 'default-deny', 'default-allow', 'no-pod', 'itself', 'own-node', 'passed'];
  const wanted = [
    ...reasons.flatMap((reason) => [`egress ${reason}`, `ingress ${reason}`]),
    'true',
    'false',
    'pods',
    'networks',
    'nodes',
    'numbers',
    'named',
  ];
  for (const what of wanted) assert.ok((seen.get(what) ?? 0) >= 5, `${what} came ${seen.get(what) ?? 0} times`);
});

test('the order of objects changes neither verdicts nor reasons', () => {
  forEachCase(1500, ({ objects, packets }, random) => {
    const [world, other] = [readWorld(objects), readWorld(random.shuffle(objects))];
    for (const packet of packets) assert.equal(verdictText(other, packet), verdictText(world, packet));
  });
});

test('NP1: a rule more in a NetworkPolicy closes nothing, a rule less opens nothing', () => {
  forEachCase(1500, ({ objects, packets }, random) => {
    const policies = policiesIn(objects, /^NetworkPolicy$/).filter(
      ({ spec }) => (spec as { policyTypes?: string[] }).policyTypes,
    );
    if (policies.length === 0) return;
    const [side, field] = random.pick([
      ['from', 'ingress'],
      ['to', 'egress'],
    ] as const);
    const one = random.pick(policies);
    const more = readWorld(
      changed(objects, one, (spec) => void (spec[field] = [...(spec[field] ?? []), randomAllowRule(random, side)])),
    );
    const less = readWorld(changed(objects, one, (spec) => void (spec[field] = spec[field]?.slice(1))));
    const world = readWorld(objects);
    for (const packet of packets) {
      const was = evaluate(world, packet).allowed;
      assert.ok(!was || evaluate(more, packet).allowed, `closed by a rule more: ${JSON.stringify(packet)}`);
      assert.ok(was || !evaluate(less, packet).allowed, `opened by a rule less: ${JSON.stringify(packet)}`);
    }
  });
});

test('NP1, CNP6: between ends that no policy selects everything is open', () => {
  let tried = 0;
  forEachCase(1500, ({ objects, packets }) => {
    const world = readWorld(objects);
    for (const packet of packets) {
      const { source, destination, allowed } = evaluate(world, packet);
      const isSelected = [source, destination].some(
        (end) => end.kind === 'pod' && world.policies.some(({ subject }) => selects(world, subject, end.pod)),
      );
      if (isSelected) continue;
      tried++;
      assert.ok(allowed, JSON.stringify(packet));
    }
  });
  assert.ok(tried > 1000);
});

test('NP19, CNP10: whatever rule cannot be understood, nothing is opened by that', () => {
  let hurt = 0;
  forEachCase(1500, ({ objects, packets }, random) => {
    const withRules = policiesIn(objects).filter(({ spec }) =>
      ['ingress', 'egress'].some((field) => (spec as PolicySpec)[field as 'ingress']?.length),
    );
    if (withRules.length === 0) return;
    const broken = readWorld(
      changed(objects, random.pick(withRules), (spec) => {
        const field = random.pick((['ingress', 'egress'] as const).filter((one) => spec[one]?.length));
        Object.assign(random.pick(spec[field]!), { condition: 'of tomorrow' });
      }),
    );
    const world = readWorld(objects);
    for (const packet of packets) {
      const [was, is] = [evaluate(world, packet).allowed, evaluate(broken, packet).allowed];
      assert.ok(was || !is, JSON.stringify(packet));
      if (was && !is) hurt++;
    }
  });
  assert.ok(hurt > 100, 'it does close something');
});

const brokenHeads: readonly [field: string, value: unknown, kinds: RegExp][] = [
  ['scope', 'tomorrow', /./],
  ['subject', { services: {} }, /^(Cluster|Admin|Baseline)/],
  ['priority', 'high', /^(Cluster|Admin)/],
  ['tier', 'Security', /^Cluster/],
  ['podSelector', { matchGlobs: {} }, /^NetworkPolicy/],
  ['policyTypes', ['Both'], /^NetworkPolicy/],
];

test('NP19, CNP10: whatever head of a policy cannot be understood, nothing is opened by that', () => {
  let hurt = 0;
  forEachCase(1500, ({ objects, packets }, random) => {
    const policies = policiesIn(objects);
    if (policies.length === 0) return;
    const one = random.pick(policies);
    const [field, value] = random.pick(brokenHeads.filter(([, , kinds]) => kinds.test(one.kind!)));
    const [world, broken] = [
      readWorld(objects),
      readWorld(changed(objects, one, (spec) => void Object.assign(spec, { [field]: value }))),
    ];
    for (const packet of packets) {
      const [was, is] = [evaluate(world, packet).allowed, evaluate(broken, packet)];
      // A pod that comes to be isolated leaves the Baseline tier: its own node and itself then pass, by NP11 and NP12.
      const isExempt = [is.egress, is.ingress].some(({ reason }) => reason.code === 'own-node' || reason.code === 'itself');
      assert.ok(was || !is.allowed || isExempt, `${one.kind} ${field}: ${JSON.stringify(packet)}`);
      if (was && !is.allowed) hurt++;
    }
  });
  assert.ok(hurt > 100, 'it does close something');
});

test('NP10: a reply has the verdict of its connection, in whatever direction it goes', () => {
  forEachCase(300, ({ objects, packets }) => {
    const world = readWorld(objects);
    for (const packet of packets) {
      const reply = {
        source: packet.destination,
        destination: packet.source,
        protocol: packet.protocol,
        port: 40000,
        answers: packet,
      };
      assert.equal(evaluate(world, reply).allowed, evaluate(world, packet).allowed);
    }
  });
});

const has = (traffic: Traffic, protocol: string, port = 0): boolean =>
  traffic.some((one) => one.protocol === protocol && one.from <= port && port <= one.to);

test('the intervals of judgeAll are all ports, and each packet has the verdict and the reasons of its interval', () => {
  forEachCase(400, ({ objects, packets }) => {
    const world = readWorld(objects);
    for (const packet of packets.filter(({ viaService }) => !viaService)) {
      const found = judgeAll(world, packet.source, packet.destination).filter(({ interval }) =>
        has([interval], packet.protocol, packet.port),
      );
      assert.equal(found.length, 1);
      const { allowed, egress, ingress } = found[0]!.verdict;
      assert.equal(`${allowed}; ${reasonText(egress)}; ${reasonText(ingress)}`, verdictText(world, packet));
    }
  });
});

/** Any two parties that a matrix tells of, and a packet between them. */
function* pairs(world: World, random: Random, count: number, cidrs = cidrsOf(world)) {
  const parties = partiesOf(world, cidrs);
  for (let i = 0; i < count && parties.length > 1; i++) {
    const [source, destination] = [random.pick(parties), random.pick(parties)];
    const [from, to] =
      families.map((family) => [source.addresses.get(family), destination.addresses.get(family)]).find(([a, b]) => a && b) ?? [];
    if (source === destination || !from || !to) continue;
    if (source.key === `node ${destination.pod?.node}` || destination.key === `node ${source.pod?.node}`) continue;
    if (source.kind !== 'pod' && destination.kind !== 'pod') continue;
    const packet: Packet = {
      source: from,
      destination: to,
      protocol: random.pick(['TCP', 'UDP', 'SCTP']),
      port: random.pick([1, 53, 80, 81, 82, 83, 443, 8080, 9999]),
    };
    yield { source, destination, packet };
  }
}

test('the matrix says of each pair what the evaluator says of each packet', () => {
  forEachCase(300, ({ objects }, random) => {
    const world = readWorld(objects);
    const cells = [...matrixOf(world, { nodes: true }).cells];
    for (const { source, destination, packet } of pairs(world, random, 20)) {
      const cell = cells.find(({ from, to }) => from === source.label && to === destination.label);
      assert.ok(cell, `${source.label} → ${destination.label}`);
      const told = has(cell.allowed.get(packet.source.family)!, packet.protocol, packet.port);
      assert.equal(told, evaluate(world, packet).allowed, `${source.label} → ${destination.label} ${JSON.stringify(packet)}`);
    }
  });
});

test('what is explained of a pod is all that the others can send to it and get from it, each with its verdict', () => {
  forEachCase(300, ({ objects }, random) => {
    const world = readWorld(objects);
    const parties = partiesOf(world);
    for (const { source, destination, packet } of pairs(world, random, 4)) {
      for (const [self, other, direction] of [
        [source, destination, 'egress'],
        [destination, source, 'ingress'],
      ] as const) {
        if (!self.pod) continue;
        const { flows } = explainPod(world, self.pod).directions[direction];
        const fitting = flows.filter(
          ({ peers, families: of, traffic }) =>
            peers.includes(other.label) &&
            (of?.includes(packet.source.family) ?? true) &&
            has(traffic, packet.protocol, packet.port),
        );
        assert.equal(fitting.length, 1, `${self.key} ${direction} ${other.key} of ${parties.length}`);
        assert.equal(fitting[0]!.allowed, evaluate(world, packet).allowed);
      }
    }
  });
});

test('what a comparison tells of a change is what the evaluator finds before and after it', () => {
  let differences = 0;
  forEachCase(300, ({ objects }, random) => {
    const policies = policiesIn(objects);
    const donor = policiesIn(randomCase(random.whole(1, 1e6)).objects).map((object) => ({
      ...object,
      metadata: { ...object.metadata, name: `new-${object.metadata.name}` },
    }));
    const after =
      random.chance(0.5) && policies.length > 0
        ? objects.filter((object) => object !== random.pick(policies))
        : [...objects, ...donor.slice(0, 2)];
    const [was, is] = [readWorld(objects), readWorld(after)];
    const { changes } = compare(was, is);
    for (const { source, destination, packet } of pairs(was, random, 20, [...cidrsOf(was), ...cidrsOf(is)])) {
      const change = changes.find(
        ({ from, to, family }) => from === source.label && to === destination.label && family === packet.source.family,
      );
      const [before, now] = [evaluate(was, packet).allowed, evaluate(is, packet).allowed];
      if (before !== now) differences++;
      assert.equal(has(change?.opened ?? [], packet.protocol, packet.port), !before && now);
      assert.equal(has(change?.closed ?? [], packet.protocol, packet.port), before && !now);
    }
  });
  assert.ok(differences > 50, `${differences}`);
});
