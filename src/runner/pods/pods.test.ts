import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import type { Container, Pod, Probe } from '../../kube/types.ts';
import type { ContainerExit, RunningContainer } from '../container.ts';
import { CrashBackoff } from './backoff.ts';
import { type ProbeAnswer, type ProbeKind, Probing } from './probing.ts';
import { slotsOf } from './slot.ts';
import { phaseOf, podStatus } from './status.ts';

test('the first restart does not wait, the next ones ever longer up to five minutes; ten good minutes are forgiven', () => {
  const backoff = new CrashBackoff();
  const waits = Array.from({ length: 8 }, () => backoff.ended(100) / 1000);
  assert.deepEqual(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
  assert.equal(backoff.ended(600_000), 0);
  assert.equal(backoff.ended(100), 10_000);
});

/** Probes of a container on a clock of its own; what they answer is set by the test. */
class ProbingBed implements Disposable {
  readonly #clock = mock.timers;
  readonly probed: ProbeKind[] = [];
  readonly seen: string[] = [];
  readonly probing: Probing;
  answers: Partial<Record<ProbeKind, ProbeAnswer['result']>> = {};

  constructor(probes: Partial<Record<`${ProbeKind}Probe`, Probe>>) {
    this.#clock.enable({ apis: ['setTimeout'] });
    const kindOf = (probe: Probe): ProbeKind =>
      probe === probes.startupProbe ? 'startup' : probe === probes.livenessProbe ? 'liveness' : 'readiness';
    this.probing = new Probing({ name: 'c', ...probes } as Container, {
      probe: async (probe) => {
        this.probed.push(kindOf(probe));
        return { result: this.answers[kindOf(probe)] ?? 'success', message: 'words' };
      },
      changed: () => this.seen.push(`started ${this.probing.started} ready ${this.probing.ready}`),
      unhealthy: (kind, message) => this.seen.push(`${kind}: ${message}`),
      failed: (kind) => this.seen.push(`${kind} failed`),
    });
    this.probing.start();
  }

  /** Lets time pass, a second at a time. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second <= seconds; second++) {
      this.#clock.tick(second === 0 ? 1 : 1000);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    }
  }

  [Symbol.dispose](): void {
    this.probing.stop();
    this.#clock.reset();
  }
}

test('a container without probes is started and ready', () => {
  using bed = new ProbingBed({});
  assert.deepEqual([bed.probing.started, bed.probing.ready, bed.probed], [true, true, []]);
});

test('readiness needs as many answers in a row as its thresholds say, in both directions', async () => {
  using bed = new ProbingBed({
    readinessProbe: { periodSeconds: 5, successThreshold: 2, failureThreshold: 3, initialDelaySeconds: 2 },
  });
  await bed.pass(1);
  assert.deepEqual(bed.probed, []);
  await bed.pass(8);
  assert.deepEqual([bed.probed.length, bed.seen, bed.probing.ready], [2, ['started true ready true'], true]);
  bed.answers.readiness = 'failure';
  await bed.pass(10);
  assert.deepEqual([bed.probing.ready, bed.probed.length], [true, 4]);
  await bed.pass(5);
  assert.deepEqual([bed.seen.at(-1), bed.probing.ready, bed.probed.length], ['started true ready false', false, 5]);
});

test('a pod that is not ready yet is asked each second, however long the period', async () => {
  using bed = new ProbingBed({ readinessProbe: { periodSeconds: 60 } });
  bed.answers.readiness = 'failure';
  await bed.pass(4);
  assert.equal(bed.probed.length, 5);
  bed.answers.readiness = 'success';
  await bed.pass(1);
  assert.equal(bed.probing.ready, true);
});

test('liveness and readiness wait for the startup probe; when it fails for good the container is ended', async () => {
  const startupProbe = { periodSeconds: 1, failureThreshold: 3 };
  using good = new ProbingBed({ startupProbe, livenessProbe: { periodSeconds: 1 }, readinessProbe: { periodSeconds: 1 } });
  good.answers.startup = 'failure';
  await good.pass(1);
  assert.deepEqual([...new Set(good.probed)], ['startup']);
  good.answers.startup = 'success';
  await good.pass(2);
  assert.deepEqual([good.probing.started, good.probing.ready, good.seen.includes('startup failed')], [true, true, false]);
  good[Symbol.dispose]();
  using bad = new ProbingBed({ startupProbe });
  bad.answers.startup = 'failure';
  await bad.pass(10);
  assert.deepEqual(bad.seen, ['startup: words', 'startup: words', 'startup: words', 'startup failed']);
});

test('an answer that says nothing neither counts nor breaks a row', async () => {
  using bed = new ProbingBed({ livenessProbe: { periodSeconds: 1, failureThreshold: 2 } });
  bed.answers.liveness = 'failure';
  await bed.pass(0);
  bed.answers.liveness = 'unknown';
  await bed.pass(3);
  assert.deepEqual(bed.seen, ['liveness: words']);
  bed.answers.liveness = 'failure';
  await bed.pass(1);
  assert.equal(bed.seen.at(-1), 'liveness failed');
});

const running = { startedAt: new Date(0) } as RunningContainer;
const ended = (exitCode: number): ContainerExit => ({
  exitCode,
  reason: exitCode ? 'Error' : 'Completed',
  startedAt: new Date(0),
  finishedAt: new Date(1000),
});
const podOf = (names: string[], inits: Container[] = []): Pod => ({
  metadata: { name: 'p', namespace: 'default', generation: 3 },
  spec: { containers: names.map((name) => ({ name, image: 'i' })), initContainers: inits },
});

test('the phase follows from the containers and the restart policy', () => {
  const phase = (policy: string, ...exits: (number | 'running' | 'new')[]): string => {
    const slots = slotsOf(podOf(exits.map((_, index) => `c${index}`)));
    for (const [index, exit] of exits.entries()) {
      const slot = slots[index]!;
      if (exit === 'new') continue;
      Object.assign(slot, { hasRun: true, running });
      if (exit !== 'running') slot.ended(ended(exit));
    }
    return phaseOf(slots, policy);
  };
  assert.equal(phase('Always', 'new', 'new'), 'Pending');
  assert.equal(phase('Always', 'running', 'new'), 'Running');
  assert.equal(phase('Always', 0, 1), 'Running');
  assert.equal(phase('OnFailure', 0, 0), 'Succeeded');
  assert.equal(phase('OnFailure', 0, 1), 'Running');
  assert.equal(phase('Never', 0, 1), 'Failed');
  assert.equal(phase('Never', 0, 'running'), 'Running');
});

test('the conditions say what is missing, and readiness gates count', () => {
  const pod = podOf(['main'], [{ name: 'init', image: 'i' }]);
  const slots = slotsOf(pod);
  const status = (more: Partial<Pod> = {}) =>
    podStatus({
      pod: { ...pod, ...more },
      slots,
      podIPs: ['10.0.0.5', 'fd00::5'],
      hostIPs: ['172.30.0.2'],
      startTime: 's',
      now: 'n',
    });
  const condition = (type: string, from = status()) => {
    const { status: value, message } = from.conditions!.find((one) => one.type === type)!;
    return [value, message];
  };
  assert.deepEqual(condition('Initialized'), ['False', 'containers with incomplete status: [init]']);
  assert.deepEqual(condition('Ready'), ['False', 'containers with unready status: [main]']);
  assert.deepEqual(condition('PodReadyToStartContainers'), ['True', undefined]);
  Object.assign(slots[0]!, { hasRun: true, running });
  slots[0]!.ended(ended(0));
  Object.assign(slots[1]!, { hasRun: true, running, probing: { started: true, ready: true } });
  assert.deepEqual(condition('Ready'), ['True', undefined]);
  const gated = { spec: { ...pod.spec!, readinessGates: [{ conditionType: 'example.org/gate' }] } };
  assert.deepEqual(condition('Ready', status(gated)), [
    'False',
    'the status of pod readiness gate "example.org/gate" is not "True"',
  ]);
  assert.deepEqual(condition('ContainersReady', status(gated)), ['True', undefined]);
  const { podIP, podIPs, hostIP, observedGeneration, phase } = status();
  assert.deepEqual(
    { podIP, podIPs, hostIP, observedGeneration, phase },
    {
      podIP: '10.0.0.5',
      podIPs: [{ ip: '10.0.0.5' }, { ip: 'fd00::5' }],
      hostIP: '172.30.0.2',
      observedGeneration: 3,
      phase: 'Running',
    },
  );
});
