import assert from 'node:assert/strict';
import { test } from 'node:test';
import { labEnvironment, labMarker } from './environment.ts';

test('of the environment of whoever starts a lab only what its processes need is passed on, with the mark they are known by', () => {
  const environment = labEnvironment('demo', { PATH: '/bin', AWS_SECRET_ACCESS_KEY: 'x', NODE_EXTRA_CA_CERTS: '/ca.pem', PODNET_LAB: 'other' });
  assert.deepEqual(environment, { PATH: '/bin', PODNET_LAB: 'demo' });
  assert.equal(labMarker('demo'), 'PODNET_LAB=demo');
});
