import assert from 'node:assert/strict';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { ApiError, type WatchOptions } from './api.ts';
import { KubeClient } from './client.ts';
import { FakeApi } from './fake.ts';
import { FakeServer } from './fake-server.ts';
import { type Change, Informer } from './informer.ts';
import { ConfigMaps } from './resources.ts';
import type { ConfigMap } from './types.ts';

const backoffMs = { first: 1, longest: 8 };

const until = async (what: string, met: () => boolean): Promise<void> => {
  for (const end = Date.now() + 20_000; !met(); ) {
    if (Date.now() > end) assert.fail(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

const map = (name: string, data: Record<string, string> = {}): ConfigMap => ({ metadata: { name, namespace: 'default' }, data });

/** A small generator with a seed, so that a failure can be run again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
}

/** Applies changes to a plain map and fails on one that does not follow from what was told before. */
function follow(changes: readonly Change<ConfigMap>[], told: Map<string, ConfigMap>): void {
  for (const { type, key, object, previous } of changes) {
    const known = told.get(key);
    if (type === 'added') {
      assert.equal(known, undefined, `${key} was added twice`);
      told.set(key, object);
    } else {
      assert.ok(known, `${key} was ${type} but never added`);
      assert.equal(previous, known, `${key}: previous is what was told before`);
      if (type === 'modified') told.set(key, object);
      else told.delete(key);
    }
  }
}

async function churn(api: FakeApi, pick: (below: number) => number, steps: number, between?: () => void): Promise<void> {
  for (let i = 0; i < steps; i++) {
    const name = `m${pick(8)}`;
    const present = api.dump(ConfigMaps).some(({ metadata }) => metadata.name === name);
    if (!present) await api.create(ConfigMaps, map(name, { step: String(i) }));
    else if (pick(3) === 0) await api.delete(ConfigMaps, name, 'default');
    else await api.patch(ConfigMaps, name, 'default', { data: { step: String(i) } }, 'merge');
    between?.();
    if (pick(4) === 0) await new Promise((resolve) => setTimeout(resolve, pick(4)));
  }
}

const sorted = (objects: Iterable<ConfigMap>): ConfigMap[] =>
  [...objects].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));

describe('Informer', () => {
  for (const watchList of [true, false]) {
    test(`syncs ${watchList ? 'by WatchList' : 'by pages where the server has no WatchList'} and follows`, async () => {
      const api = new FakeApi();
      api.watchList = watchList;
      for (let i = 0; i < 7; i++) await api.create(ConfigMaps, map(`m${i}`));
      const batches: number[] = [];
      using informer = new Informer(api, ConfigMaps, {
        backoffMs,
        pageSize: 2,
        onChange: (changes) => batches.push(changes.length),
      });
      informer.start();
      await informer.synced;
      assert.deepEqual(batches, [7], 'the snapshot comes as one batch');
      assert.equal(informer.get('default/m3')?.metadata.name, 'm3');
      const made = await api.create(ConfigMaps, map('late'));
      await informer.hasSeen(made.metadata.resourceVersion);
      assert.ok(informer.get('default/late'));
      await api.delete(ConfigMaps, 'late', 'default');
      await informer.hasSeenDeletion('default/late', made.metadata.uid);
      assert.equal(informer.get('default/late'), undefined);
    });
  }

  test('keeps only the projection, and finds by index', async () => {
    const api = new FakeApi();
    await api.create(ConfigMaps, map('a', { color: 'red' }));
    await api.create(ConfigMaps, map('b', { color: 'blue' }));
    using informer = new Informer(api, ConfigMaps, {
      project: ({ metadata, data }: ConfigMap) => ({ name: metadata.name, color: data?.color ?? '' }),
      indexes: { color: ({ color }) => [color] },
    }).start();
    await informer.synced;
    assert.deepEqual(informer.byIndex('color', 'red'), [{ name: 'a', color: 'red' }]);
    const changed = await api.patch(ConfigMaps, 'a', 'default', { data: { color: 'blue' } }, 'merge');
    await informer.hasSeen(changed.metadata.resourceVersion);
    assert.deepEqual(informer.byIndex('color', 'red'), []);
    assert.deepEqual(
      informer
        .byIndex('color', 'blue')
        .map(({ name }) => name)
        .sort(),
      ['a', 'b'],
    );
  });

  test('a listener that comes late hears of everything present', async () => {
    const api = new FakeApi();
    await api.create(ConfigMaps, map('a'));
    using informer = new Informer(api, ConfigMaps).start();
    await informer.synced;
    const told = new Map<string, ConfigMap>();
    const off = informer.onChange((changes) => follow(changes, told));
    assert.deepEqual([...told.keys()], ['default/a']);
    off();
    const made = await api.create(ConfigMaps, map('b'));
    await informer.hasSeen(made.metadata.resourceVersion);
    assert.deepEqual([...told.keys()], ['default/a']);
  });

  test('an object made anew under its name is told as deleted and added', async () => {
    const api = new FakeApi();
    await api.create(ConfigMaps, map('a', { life: '1' }));
    const types: string[] = [];
    using informer = new Informer(api, ConfigMaps, { backoffMs, watchSeconds: { least: 1, most: 1 } });
    informer.onChange((changes) => types.push(...changes.map(({ type }) => type)));
    informer.start();
    await informer.synced;
    // Both happen where the watch cannot see them: the history is gone, so the next snapshot tells.
    await api.delete(ConfigMaps, 'a', 'default');
    await api.create(ConfigMaps, map('a', { life: '2' }));
    // The cache has it a moment before it is told.
    await until('the new one', () => informer.get('default/a')?.data?.life === '2' && types.length > 1);
    assert.deepEqual(types, ['added', 'deleted', 'added']);
  });

  test('F12: random histories over cut connections, 410, garbage and duplicates end equal to the server', async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const pick = random(seed);
      const api = new FakeApi();
      api.watchList = seed % 2 === 0;
      await using server = await FakeServer.listen(api);
      using client = new KubeClient({ server: server.url });
      const told = new Map<string, ConfigMap>();
      using informer = new Informer(client, ConfigMaps, { backoffMs, pageSize: 3, onChange: (changes) => follow(changes, told) });
      informer.start();
      server.fault = (line) => {
        const fate = pick(24);
        if (fate === 0) return 'cut';
        if (fate === 1) return '{"type":"ADDED","object":{"metadata"';
        if (fate === 2) return `${line}\n${line}`;
        if (fate === 3) return '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"gone"}}';
        return line;
      };
      await churn(api, pick, 120, () => {
        if (pick(20) === 0) api.compact();
        if (pick(20) === 0) server.cutWatches();
      });
      server.fault = (line) => line;
      const last = await api.create(ConfigMaps, map('last'));
      await informer.hasSeen(last.metadata.resourceVersion);
      assert.deepEqual(sorted(informer.list()), sorted(api.dump(ConfigMaps)), `seed ${seed}: the cache equals the server`);
      assert.deepEqual(sorted(told.values()), sorted(api.dump(ConfigMaps)), `seed ${seed}: what was told equals the server`);
    }
  });

  test('F12, F16: a server that answers 410 for ever is asked ever more rarely', async () => {
    const api = new FakeApi();
    let watches = 0;
    const spiteful = Object.assign(Object.create(api) as FakeApi, {
      list: api.list.bind(api),
      watch: (_resource: unknown, _onEvent: unknown, options: WatchOptions) => {
        watches++;
        setImmediate(() => options.onEnd(new ApiError(410, 'Expired', 'too old resource version')));
        return { close() {} };
      },
    });
    const waits: number[] = [];
    using informer = new Informer(spiteful, ConfigMaps, {
      backoffMs: { first: 4, longest: 1000 },
      onError: (_, ms) => waits.push(ms),
    });
    informer.start();
    await until('five failures', () => waits.length >= 5);
    assert.ok(waits[4]! >= 32, `the fifth wait of ${waits} is at least half of 4 ms doubled four times`);
    assert.equal(watches, waits.length);
    assert.equal(informer.isSynced, false);
  });

  test('a server that began anew, with lower versions, is read anew', async () => {
    let api = new FakeApi();
    for (let i = 0; i < 5; i++) await api.create(ConfigMaps, map(`old${i}`));
    const current: FakeApi = new Proxy({} as FakeApi, {
      get: (_, name) => {
        const value: unknown = Reflect.get(api, name, api);
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(api) : value;
      },
    });
    await using server = await FakeServer.listen(current);
    using client = new KubeClient({ server: server.url });
    using informer = new Informer(client, ConfigMaps, { backoffMs }).start();
    await informer.synced;
    api = new FakeApi();
    await api.create(ConfigMaps, map('new'));
    server.cutWatches();
    await until('the new state', () => informer.get('default/new') !== undefined && informer.size === 1);
  });

  test('F14: what a server tells that lags behind is not taken for news: it is asked for all there is', async () => {
    const api = new FakeApi();
    const first = await api.create(ConfigMaps, map('a', { step: '1' }));
    await using server = await FakeServer.listen(api);
    using client = new KubeClient({ server: server.url });
    const told = new Map<string, ConfigMap>();
    const steps: (string | undefined)[] = [];
    using informer = new Informer(client, ConfigMaps, {
      backoffMs,
      onChange: (changes) => {
        follow(changes, told);
        steps.push(...changes.map(({ object }) => object.data?.step));
      },
    });
    informer.start();
    await informer.synced;
    for (const step of ['2', '3']) await api.patch(ConfigMaps, 'a', 'default', { data: { step } }, 'merge');
    await until('the newest', () => informer.get('default/a')?.data?.step === '3');
    const errors: string[] = [];
    // What was true before comes again, as from a replica that has not heard of what came since; then the deletion of what is there.
    for (const type of ['MODIFIED', 'DELETED'] as const) {
      // Once: what it tells when it is asked for all is true.
      server.fault = (line) => {
        server.fault = (same) => same;
        return `${JSON.stringify({ type, object: { kind: 'ConfigMap', apiVersion: 'v1', ...first } })}\n${line}`;
      };
      const made = await api.create(ConfigMaps, map(`b-${type.toLowerCase()}`));
      await until('it was asked again', () => (errors.push(informer.error?.message ?? ''), informer.error !== undefined || informer.get(`default/b-${type.toLowerCase()}`) !== undefined));
      await informer.hasSeen(made.metadata.resourceVersion);
      assert.equal(informer.get('default/a')?.data?.step, '3', type);
    }
    assert.deepEqual(steps.filter((step) => step !== undefined), ['1', '2', '3'], 'and nobody was told otherwise');
    assert.deepEqual(sorted(told.values()), sorted(api.dump(ConfigMaps)));
  });

  test('F16: bursts of 429 and 5xx, slow answers, and JSON that is cut anywhere end in what the server has, with ever longer waits', async () => {
    const api = new FakeApi();
    api.watchList = false;
    for (let i = 0; i < 5; i++) await api.create(ConfigMaps, map(`m${i}`, { text: 'zw\u00f6lf \u65e5\u672c\u8a9e' }));
    const list = { kind: 'ConfigMapList', apiVersion: 'v1', ...(await api.list(ConfigMaps)) };
    const whole = Buffer.from(JSON.stringify(list));
    const inLetter = whole.indexOf(Buffer.from('\u65e5')) + 1;
    const faults: ((response: http.ServerResponse) => void)[] = [
      (response) => response.writeHead(429, { 'retry-after': '0' }).end('{}'),
      (response) => response.writeHead(500).end('{"kind":"Status","code":500,"reason":"InternalError","message":"no"}'),
      (response) => response.writeHead(503).end('<html>'),
      (response) => response.writeHead(502).end(),
      () => {},
      (response) => response.writeHead(200).end(whole.subarray(0, inLetter)),
      (response) => response.writeHead(200, { 'content-length': whole.length }).write(whole.subarray(0, inLetter), () => response.destroy()),
      (response) => response.socket?.resetAndDestroy(),
      (response) => response.writeHead(200).end('null'),
      (response) => response.writeHead(200).end('[]'),
      // Cut in the midst of a letter, and then the rest.
      (response) => response.writeHead(200).write(whole.subarray(0, inLetter), () => setImmediate(() => response.end(whole.subarray(inLetter)))),
    ];
    let lists = 0;
    const server = http.createServer((request, response) => {
      if (request.url?.includes('watch=1')) response.writeHead(request.url.includes('sendInitialEvents') ? 422 : 200).end(
        request.url.includes('sendInitialEvents') ? '{"kind":"Status","code":422,"message":"sendInitialEvents is forbidden"}' : undefined,
      );
      else (faults[lists++] ?? faults.at(-1)!)(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    using client = new KubeClient({ server: `http://127.0.0.1:${port}` }, { timeoutMs: 50 });
    const waits: number[] = [];
    try {
      using informer = new Informer(client, ConfigMaps, { backoffMs: { first: 1, longest: 40 }, onError: (_, ms) => waits.push(ms) }).start();
      await informer.synced;
      assert.deepEqual(sorted(informer.list()), sorted(api.dump(ConfigMaps)));
      assert.ok(waits.length >= 8, `${waits.length} failures were told`);
      assert.ok(Math.max(...waits.slice(6)) > 20, `waits ${waits}`);
      assert.equal(lists, faults.length, 'and the server was asked no more often than that');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('stop ends everything: no listener is called, nothing keeps the process alive', async () => {
    const api = new FakeApi();
    const informer = new Informer(api, ConfigMaps, { onChange: () => assert.fail('called after stop') });
    informer.start();
    informer.stop();
    await api.create(ConfigMaps, map('a'));
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(informer.size, 0);
  });
});
