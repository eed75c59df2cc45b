import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { httpGet } from '../testing/http.ts';
import { connectSpdy } from './streams/testkit/spdy-client.ts';
import { forEver, needsBusybox, shell, withWorld, type World } from './testkit/world.ts';

/** A log from the runner's socket. */
const logs = (world: World, pod: string, query = ''): Promise<{ code: number; body: string }> =>
  httpGet(world.config.socketPath, `/containerLogs/default/${pod}/c?${query}`);

/** exec or attach over a WebSocket: its outputs to the end, and the exit code. */
async function session(world: World, kind: string, pod: string, query: string, input?: string) {
  const socket = new WebSocket(`ws+unix://${world.config.socketPath}:/${kind}/default/${pod}/c?${query}`, 'v5.channel.k8s.io');
  const channels = ['', '', '', ''];
  socket.on('message', (data: Buffer) => (channels[data[0]!] += data.subarray(1).toString()));
  await once(socket, 'open');
  const closed = once(socket, 'close');
  if (input !== undefined) socket.send(`\0${input}`);
  // Channel 255 says that channel 0 has ended.
  if (input !== undefined) socket.send(Buffer.from([255, 0]));
  await closed;
  const status = JSON.parse(channels[3]!) as { status: string; details?: { causes?: { message: string }[] } };
  return {
    stdout: channels[1]!,
    stderr: channels[2]!,
    code: status.status === 'Success' ? 0 : Number(status.details?.causes?.[0]?.message),
  };
}
const command = (...words: string[]): string => words.map((word) => `command=${encodeURIComponent(word)}`).join('&');

test('logs: all, the last lines, of the run before, and followed to the end of the container', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', {
      volumes: [{ name: 'data', emptyDir: {} }],
      containers: [
        shell('c', 
          'if test -e /data/again; then echo second run; read x; echo bye; exit 0; fi; touch /data/again; echo one; echo two >&2; echo three; exit 1',
          {
            stdin: true,
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ),
      ],
      restartPolicy: 'OnFailure',
    });
    await world.until('the second run', async () => (await logs(world, 'a')).body === 'second run\n');
    const previous = (query = ''): Promise<{ code: number; body: string }> => logs(world, 'a', `previous=true${query}`);
    assert.equal((await previous()).body.split('\n').sort().join(), ',one,three,two');
    assert.equal((await previous('&tailLines=1')).body.split('\n').length, 2);
    assert.match((await previous('&timestamps=true&limitBytes=31')).body, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z $/);
    assert.equal((await logs(world, 'a', 'sinceSeconds=3600')).body, 'second run\n');
    const followed = logs(world, 'a', 'follow=true');
    await session(world, 'attach', 'a', 'stdin=1&stdout=1', '\n');
    assert.equal((await followed).body, 'second run\nbye\n');
    assert.deepEqual((await logs(world, 'none')).code, 404);
  }),
);

test("what cannot be is told in kubelet's words", needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', { containers: [shell('c', forEver)] });
    await world.pod('waits', {
      containers: [shell('c', 'true', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'x', key: 'y' } } }] })],
    });
    await world.ready('a');
    await world.until(
      'a reason',
      async () =>
        (await world.get('waits')).status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError',
    );
    const none = await logs(world, 'a', 'previous=true');
    assert.deepEqual([none.code, none.body], [400, 'previous terminated container "c" in pod "a" not found']);
    assert.equal(
      (await logs(world, 'waits')).body,
      'container "c" in pod "waits" is waiting to start: CreateContainerConfigError',
    );
    await assert.rejects(session(world, 'exec', 'waits', `${command('true')}&stdout=1`), /Unexpected server response: 500/);
  }),
);

test('exec and attach in a container: outputs apart, input, exit code; attach says nothing of the past', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', {
      containers: [shell('c', 'echo past; while read line; do echo "heard $line"; done; exit 4', { stdin: true, stdinOnce: true })],
      restartPolicy: 'Never',
    });
    await world.ready('a');
    const ran = await session(
      world,
      'exec',
      'a',
      `${command('sh', '-c', 'cat; echo $HOSTNAME; echo bad >&2; exit 3')}&stdin=1&stdout=1&stderr=1`,
      'in,',
    );
    assert.deepEqual(ran, { stdout: 'in,a\n', stderr: 'bad\n', code: 3 });
    await world.until('its first word', async () => (await logs(world, 'a')).body === 'past\n');
    assert.deepEqual(await session(world, 'attach', 'a', 'stdin=1&stdout=1', 'hello\n'), {
      stdout: 'heard hello\n',
      stderr: '',
      code: 0,
    });
    await world.until(
      'the end',
      async () => (await world.get('a')).status?.containerStatuses?.[0]?.state?.terminated?.exitCode === 4,
    );
    assert.equal((await logs(world, 'a')).body, 'past\nheard hello\n');
  }),
);

test('a stand-in has logs, attach and, by busybox in its network, exec', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('a', {
      containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 8080 }], env: [{ name: 'COLOR', value: 'red' }] }],
    });
    await world.ready('a');
    const first = (await logs(world, 'a', 'limitBytes=30')).body;
    assert.equal(first, 'podnet stand-in for image ngin');
    const ran = await session(
      world,
      'exec',
      'a',
      `${command('sh', '-c', 'wget -qO- localhost:8080/hostname; echo; echo $COLOR; cat /etc/hostname; exit 2')}&stdout=1&stderr=1`,
    );
    assert.deepEqual(ran, { stdout: 'a\nred\na\n', stderr: '', code: 2 });
    await world.until('the request in the log', async () => (await logs(world, 'a', 'tailLines=1')).body.includes('/hostname'));
  }),
);

test('port-forward reaches the loopback of the pod, of real containers and stand-ins', needsBusybox, () =>
  withWorld(async (world) => {
    await world.pod('real', { containers: [shell('c', 'mkdir /www; echo it is me > /www/me; httpd -f -p 127.0.0.1:9000 -h /www')] });
    await world.pod('stand-in', { containers: [{ name: 'c', image: 'nginx', ports: [{ containerPort: 9000 }] }] });
    for (const name of ['real', 'stand-in']) await world.ready(name);
    const ask = async (pod: string, question: string): Promise<string> => {
      const { client } = await connectSpdy(world.config.socketPath, `/portForward/default/${pod}`, ['portforward.k8s.io']);
      await client.open({ streamtype: 'error', port: '9000', requestid: '0' }, true);
      const data = await client.open({ streamtype: 'data', port: '9000', requestid: '0' });
      client.send(data, question, true);
      await client.until(() => client.streams.get(data)!.ended);
      client.transport.destroy();
      return client.text(data);
    };
    await world.until('the listener', async () => (await ask('real', 'GET /me HTTP/1.0\r\n\r\n')).endsWith('\r\n\r\nit is me\n'));
    assert.match(await ask('stand-in', 'GET /hostname HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nstand-in$/s);
  }),
);
