import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busybox, chooseImage, familiarName, matchesImage } from './images.ts';

test('an image is known by its familiar name, whatever registry, tag or digest it is written with', () => {
  for (const image of [
    'busybox',
    'busybox:1.36',
    'docker.io/library/busybox:latest',
    'index.docker.io/busybox@sha256:00',
    'library/busybox',
  ])
    assert.equal(familiarName(image), 'busybox');
  assert.equal(familiarName('registry:5000/a/b:1'), 'registry:5000/a/b');
});

test('a pattern matches the name with or without registry, tag and digest', () => {
  const yes = ['busybox', 'gcr.io/x/busybox:1', 'docker.io/library/busybox@sha256:00'];
  for (const image of yes) assert.ok(matchesImage('busybox', image), image);
  for (const image of ['busybox-extra', 'my/notbusybox', 'busybox/other']) assert.ok(!matchesImage('busybox', image), image);
  assert.ok(matchesImage('gcr.io/*/web:v*', 'gcr.io/shop/web:v1'));
  assert.ok(!matchesImage('gcr.io/shop/web:v1', 'gcr.io/shop/web:v2'));
  assert.ok(!matchesImage('a.b', 'axb'), 'a dot is a dot');
});

test("the user's own mappings come first, then busybox; what is not there is stood in for, and the reason is told", () => {
  const mine = { image: 'web', rootfs: '/srv/web' };
  const there =
    (...paths: string[]) =>
    (path: string): boolean =>
      paths.includes(path);
  assert.deepEqual(chooseImage('example.org/web:1', [mine], there('/srv/web')), { kind: 'process', mapping: mine });
  assert.equal(chooseImage('busybox:1.36', [], there(busybox)).kind, 'process');
  const own = { image: 'busybox', busybox: '/opt/busybox' };
  assert.deepEqual(chooseImage('busybox', [own], there(busybox, '/opt/busybox')), { kind: 'process', mapping: own });
  const reason = (image: string, mappings = [mine]): string => {
    const choice = chooseImage(image, mappings, there());
    return choice.kind === 'stand-in' ? choice.message : assert.fail('it runs');
  };
  assert.match(reason('web'), /Its mapping names \/srv\/web, which does not exist$/);
  assert.match(reason('busybox'), /apt-get install busybox-static$/);
  assert.match(reason('nginx:1.27'), /^a stand-in runs for image "nginx:1\.27": .* map the image .*image: "nginx"/);
});
