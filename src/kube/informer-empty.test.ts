import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Api, ApiError } from './api.ts';
import { FakeApi } from './fake.ts';
import { Informer, type InformerOptions } from './informer.ts';
import { ConfigMaps } from './resources.ts';
import type { ConfigMap } from './types.ts';

const backoffMs = { first: 1, longest: 8 };
const confirmEmptyMs = 150;
const map = (name: string): ConfigMap => ({ metadata: { name, namespace: 'default' }, data: {} });
const gone = new ApiError(404, 'NotFound', 'the server could not find the requested resource');

const until = async (what: string, met: () => boolean): Promise<void> => {
  for (const end = Date.now() + 20_000; !met(); ) {
    if (Date.now() > end) assert.fail(`not within 20 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

/** A server that is another one from one moment to the next: watches end with 410, and all that is asked from then on the other one answers. */
class Switched {
  readonly full = new FakeApi();
  readonly empty = new FakeApi();
  /** What answers: a server with objects, one without any, or one that does not know the kind. */
  #now: 'full' | 'empty' | 'unknown' = 'full';
  readonly #watches = new Set<(error: Error) => void>();
  /** When each snapshot was asked for, by performance.now(). */
  readonly asked: number[] = [];
  readonly api: Api;

  constructor(watchList: boolean) {
    this.full.watchList = this.empty.watchList = watchList;
    const it = this;
    this.api = Object.create(this.full, {
      list: {
        value: async (...args: Parameters<Api['list']>) => {
          it.asked.push(performance.now());
          if (it.#now === 'unknown') throw gone;
          return it.#server.list(...args);
        },
      },
      watch: {
        value: (...[resource, onEvent, options]: Parameters<Api['watch']>) => {
          if (options.sendInitialEvents && watchList) it.asked.push(performance.now());
          const end = (error?: Error): void => {
            it.#watches.delete(end);
            options.onEnd(error);
          };
          it.#watches.add(end);
          if (it.#now === 'unknown') {
            setImmediate(() => end(gone));
            return { close: () => it.#watches.delete(end) };
          }
          const stream = it.#server.watch(resource, onEvent, { ...options, onEnd: end });
          return {
            close: () => {
              it.#watches.delete(end);
              stream.close();
            },
          };
        },
      },
    }) as Api;
  }

  get #server(): FakeApi {
    return this.#now === 'empty' ? this.empty : this.full;
  }

  become(what: 'full' | 'empty' | 'unknown'): void {
    this.#now = what;
    this.asked.length = 0;
    for (const end of [...this.#watches]) end(what === 'unknown' ? gone : new ApiError(410, 'Expired', 'too old resource version'));
  }
}

async function follow(watchList: boolean, options: InformerOptions<ConfigMap> = {}) {
  const server = new Switched(watchList);
  for (const name of ['a', 'b']) await server.full.create(ConfigMaps, map(name));
  const told: string[] = [];
  const errors: string[] = [];
  const informer = new Informer(server.api, ConfigMaps, {
    ...{ backoffMs, confirmEmptyMs, ...options },
    onChange: (changes) => told.push(...changes.map(({ type, key }) => `${type} ${key}`)),
    onError: ({ message }) => errors.push(message),
  }).start();
  await informer.synced;
  told.length = 0;
  return { server, informer, told, errors };
}

const deletions = ['deleted default/a', 'deleted default/b'];
const doubt = 'list configmaps: the server has none, where there were 2; they are kept until it says so again after 0.15 s';

for (const watchList of [true, false])
  for (const what of ['empty', 'unknown'] as const)
    test(`F13: a server that ${what === 'empty' ? 'has nothing all at once' : 'does not know the kind any more'} is believed when it says so again some time later (${watchList ? 'WatchList' : 'pages'})`, async () => {
      const { server, informer, told, errors } = await follow(watchList, { absentCodes: [404] });
      using _end = informer;
      const since = performance.now();
      server.become(what);
      await until('doubt is told of', () => errors.includes(doubt));
      assert.deepEqual([informer.size, told, informer.error?.message], [2, [], doubt]);
      await until('it is believed', () => informer.size === 0);
      assert.deepEqual(told, deletions);
      assert.ok(server.asked.at(-1)! - since >= confirmEmptyMs - 1, `${since} ${server.asked}`);
      assert.equal(errors.filter((error) => error === doubt).length, 1);
      server.become('full');
      await until('it goes on', () => informer.size === 2);
      assert.deepEqual(told, [...deletions, 'added default/a', 'added default/b']);
    });

test('F13: what was empty for a moment only deletes nothing, and a later moment begins anew', async () => {
  const { server, informer, told, errors } = await follow(true);
  using _end = informer;
  for (let time = 1; time <= 3; time++) {
    server.become('empty');
    await until('doubt is told of', () => errors.filter((error) => error === doubt).length === time);
    server.become('full');
    await until('all is well', () => informer.error === undefined);
  }
  assert.deepEqual([informer.size, told], [2, []]);
});

for (const watchList of [true, false])
  test(`F13: what comes while a server is doubted is heard at once, and deletes nothing of what was known before it is believed (${watchList ? 'WatchList' : 'pages'})`, async () => {
    const { server, informer, told, errors } = await follow(watchList, { confirmEmptyMs: 3_600_000 });
    using _end = informer;
    server.become('empty');
    await until('doubt is told of', () => errors.some((error) => error.startsWith('list')));
    await server.empty.create(ConfigMaps, map('c'));
    await until('it is heard of', () => informer.size === 3);
    await server.empty.delete(ConfigMaps, 'c', 'default');
    await until('its end is heard of', () => informer.size === 2);
    assert.deepEqual(told, ['added default/c', 'deleted default/c']);
    assert.match(informer.error!.message, /the server has none, where there were 2/, 'one object does not answer for the others');
    await server.empty.create(ConfigMaps, map('d'));
    // Asked once more, it has something.
    await informer.refresh();
    assert.deepEqual([informer.error, [...informer.keys()]], [undefined, ['default/d']]);
    await server.empty.create(ConfigMaps, map('e'));
    await until('it goes on', () => informer.size === 2);
  });

test('a deletion that the watch tells of is believed at once, and the snapshot after it, which is empty too', async () => {
  const { server, informer, told, errors } = await follow(true, { confirmEmptyMs: 3_600_000 });
  using _end = informer;
  for (const name of ['a', 'b']) await server.full.delete(ConfigMaps, name, 'default');
  await until('they are gone', () => informer.size === 0);
  assert.deepEqual(told, deletions);
  server.become('empty');
  await until('it is asked again', () => server.asked.length > 0 && informer.error === undefined);
  await server.full.create(ConfigMaps, map('c'));
  server.become('full');
  await until('it goes on', () => informer.size === 1);
  assert.deepEqual(errors.filter((error) => error.startsWith('list')), []);
});

test('without confirmation a server is believed at once, and one that does not know the kind says nothing of what there is', async () => {
  const { server, informer, told } = await follow(true, { confirmEmptyMs: 0, absentCodes: [404] });
  using _end = informer;
  server.become('empty');
  await until('it is believed', () => informer.size === 0);
  assert.deepEqual(told, deletions);
});

test('refresh asks for a snapshot anew', async () => {
  const { server, informer, told } = await follow(true);
  using _end = informer;
  server.asked.length = 0;
  await informer.refresh();
  assert.deepEqual([server.asked.length, informer.size, told], [1, 2, []]);
  informer.stop();
  await informer.refresh();
});
