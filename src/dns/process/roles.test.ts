import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RoleOptions, Roles } from './roles.ts';

/** Roles with a clock and workers that do as they are told. */
class Stage {
  now = 0;
  count = 0;
  readonly done: string[] = [];
  readonly silent = new Set<number>();
  readonly roles: Roles;

  constructor(options: Partial<RoleOptions> = {}) {
    const all = { standby: true, standbyAfterMs: 5000, patient: false, pingMs: 200, ...options };
    this.roles = new Roles(all, {
      spawn: () => {
        this.done.push(`spawn ${++this.count}`);
        this.roles.started(this.count, this.now);
      },
      serve: (worker) => this.done.push(`serve ${worker}`),
      pause: (worker) => this.done.push(`pause ${worker}`),
      ping: (worker) => {
        if (!this.silent.has(worker)) this.roles.answered(worker, this.now);
      },
      kill: (worker) => {
        this.done.push(`kill ${worker}`);
        this.roles.gone(worker, this.now);
      },
    });
  }

  /** What was done since the last call. */
  take(): string[] {
    return this.done.splice(0);
  }

  pass(ms: number): this {
    for (const end = this.now + ms; this.now < end; ) {
      this.now += 200;
      this.roles.tick(this.now);
    }
    return this;
  }

  /** A first worker that knows the names, and a second one. */
  withBoth(): this {
    this.count = 1;
    this.roles.started(1, this.now);
    this.roles.up(1, this.now);
    this.roles.known(1, this.now);
    this.pass(5000);
    this.roles.up(2, this.now);
    this.roles.known(2, this.now);
    this.take();
    return this;
  }
}

test('the first worker serves as soon as it can, and the standby comes some seconds after it knows the names', () => {
  const stage = new Stage();
  stage.roles.started((stage.count = 1), 0);
  stage.roles.up(1, 0);
  assert.deepEqual(stage.take(), ['serve 1']);
  assert.deepEqual(stage.pass(20_000).take(), [], 'it does not know them yet');
  stage.roles.known(1, stage.now);
  assert.deepEqual(stage.pass(4800).take(), []);
  assert.deepEqual(stage.pass(200).take(), ['spawn 2']);
  stage.roles.up(2, stage.now);
  stage.roles.known(2, stage.now);
  assert.deepEqual(stage.pass(10_000).take(), [], 'one serves, one waits');
});

test('when the one that serves ends, the standby serves in the same moment, and another one is started', () => {
  const stage = new Stage().withBoth();
  stage.roles.gone(1, stage.now);
  assert.deepEqual(stage.take(), ['serve 2', 'spawn 3']);
});

test('one that is out of turn is replaced within half a second, and killed when it does not come back', () => {
  const stage = new Stage().withBoth();
  stage.silent.add(1);
  assert.deepEqual(stage.pass(600).take(), ['serve 2', 'pause 1']);
  assert.deepEqual(stage.pass(2800).take(), []);
  assert.deepEqual(stage.pass(200).take(), ['kill 1', 'spawn 3']);
});

test('one that comes back is the standby from then on; nobody is killed', () => {
  const stage = new Stage().withBoth();
  stage.silent.add(1);
  stage.pass(600).take();
  stage.silent.delete(1);
  stage.roles.answered(1, stage.now);
  assert.deepEqual(stage.pass(20_000).take(), []);
  stage.roles.gone(2, stage.now);
  assert.deepEqual(stage.take(), ['serve 1', 'spawn 3']);
});

test('a standby that hangs is killed and replaced, however long it takes to notice', () => {
  const stage = new Stage().withBoth();
  stage.silent.add(2);
  assert.deepEqual(stage.pass(10_000).take(), ['kill 2', 'spawn 3']);
});

test('one that does not know the names yet is not asked for a sign of life: reading them takes its time', () => {
  const stage = new Stage();
  stage.roles.started((stage.count = 1), 0);
  stage.roles.up(1, 0);
  stage.silent.add(1);
  assert.deepEqual(stage.pass(60_000).take(), ['serve 1']);
});

test('without a standby a worker that ends or hangs is replaced by a new one', () => {
  const stage = new Stage({ standby: false });
  stage.roles.started((stage.count = 1), 0);
  stage.roles.up(1, 0);
  stage.roles.known(1, 0);
  assert.deepEqual(stage.pass(20_000).take(), ['serve 1']);
  stage.silent.add(1);
  assert.deepEqual(stage.pass(4000).take(), ['kill 1', 'spawn 2']);
  stage.roles.up(2, stage.now);
  assert.deepEqual(stage.take(), ['serve 2']);
});

test('workers that end again and again are started ever later, at last every five seconds', () => {
  const stage = new Stage({ standby: false });
  stage.roles.started((stage.count = 1), 0);
  const starts: number[] = [];
  for (let i = 0; i < 8; i++) {
    const [at, before] = [stage.now, stage.count];
    stage.roles.gone(before, at);
    while (stage.count === before) stage.pass(200);
    starts.push(stage.now - at);
  }
  assert.deepEqual(starts, [0, 200, 600, 1000, 2000, 5000, 5000, 5000]);
});

test('while a predecessor answers, only a worker that knows the names serves; when it is gone, any does', () => {
  const knows = new Stage({ patient: true });
  knows.roles.started((knows.count = 1), 0);
  knows.roles.up(1, 0);
  assert.deepEqual(knows.take(), []);
  knows.roles.known(1, 0);
  assert.deepEqual(knows.take(), ['serve 1']);
  const left = new Stage({ patient: true });
  left.roles.started((left.count = 1), 0);
  left.roles.up(1, 0);
  left.roles.alone(0);
  assert.deepEqual(left.take(), ['serve 1']);
});

test('a worker that knows the names takes over from one that does not', () => {
  const stage = new Stage();
  stage.roles.started((stage.count = 1), 0);
  stage.roles.up(1, 0);
  stage.roles.started((stage.count = 2), 0);
  stage.roles.up(2, 0);
  stage.roles.known(2, 0);
  assert.deepEqual(stage.take(), ['serve 1', 'serve 2', 'pause 1']);
});
