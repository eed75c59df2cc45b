import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ServiceReport } from '../agent/services/report.ts';
import type { ExplainedEndpoint, ExplainedPort, Way } from '../services/index.ts';
import { Style } from './output.ts';
import { reportText } from './svc-text.ts';

const none = { open: 0, unanswered: 0, ended: 0 };
const endpoint = (rest: Partial<ExplainedEndpoint>): ExplainedEndpoint => ({
  ...{ address: '10.244.1.1', port: 8080, condition: 'ready', any: true, local: true, connections: none },
  ...rest,
});
const sentOn: Way = { outcome: 'sent on', set: 'any', endpoints: 1, source: 'client', why: 'any of them' };

function report(way: Way, endpoints: ExplainedEndpoint[], rest: Partial<ServiceReport> = {}): ServiceReport {
  const port: ExplainedPort = {
    ...{ name: '', family: 'ipv4', protocol: 'tcp', port: 80, endpoints, otherFamily: 0, departed: [] },
    destinations: [
      { kind: 'ClusterIP', address: '10.96.0.1', port: 80, from: { pod: way, node: way, outside: way }, connections: none },
    ],
  };
  return {
    ...{ node: 'n1', namespace: 'default', name: 'web', type: 'ClusterIP', state: 'done', ports: [port] },
    ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster', ignored: [], refusesOtherPorts: [], elements: [] },
    ...rest,
  };
}

/** Its lines with two spaces between columns. */
const told = (reports: ServiceReport[], wide = false): string[] =>
  reportText(reports, { wide, pods: new Map(), style: new Style(false) })
    .split('\n')
    .map((line) => line.trim().replaceAll(/ {2,}/g, '  '));

const meaning = 'service port to set id and class';
const held = { set: 'service-ips4', element: '10.96.0.1 . tcp . 80 : 0:2001', meaning, kernel: 'held' } as const;

test('drift is shown where it is: what is missing or other, of this node and in the line of another', () => {
  const missing = { ...held, kernel: 'missing' as const };
  const other = { ...held, kernel: 'other data' as const, found: '10.96.0.1 . tcp . 80 : 0:2002' };
  const lines = told([
    report(sentOn, [endpoint({})], { elements: [held, missing, other] }),
    report(sentOn, [endpoint({})], { node: 'n2', elements: [missing] }),
  ]);
  assert.ok(lines.includes('KERNEL of n1: 2 of 3 elements not as planned; podnet mends this'), lines.join('\n'));
  assert.ok(lines.includes(`service-ips4  ${held.element}  missing  ${meaning}`));
  assert.ok(lines.includes(`service-ips4  ${held.element}  has ${other.found}  ${meaning}`));
  assert.ok(!lines.includes(`service-ips4  ${held.element}  held  ${meaning}`), 'what is right is for -o wide');
  assert.ok(lines.includes('n2  any of 1, address kept  0  0  1 of 1 not as planned'));
  assert.ok(told([report(sentOn, [], { elements: [held] })], true).includes(`service-ips4  ${held.element}  held  ${meaning}`));
});

test('an endpoint that is chosen says so, in reserve or for want of a ready one', () => {
  const rows = (way: Way, one: Partial<ExplainedEndpoint>): string =>
    told([report(way, [endpoint(one)])]).find((line) => line.startsWith('10.244.1.1:8080'))!;
  assert.equal(rows(sentOn, {}), '10.244.1.1:8080  -  -  ready  yes  0  0');
  assert.equal(rows(sentOn, { condition: 'terminating' }), '10.244.1.1:8080  -  -  terminating  yes, as none is ready  0  0');
  const answered: Way = { outcome: 'answered here', why: "this node's own DNS answers" };
  assert.equal(rows(answered, {}), '10.244.1.1:8080  -  -  ready  in reserve  0  0');
  const stuck = { connections: { open: 0, unanswered: 3, ended: 0 } };
  assert.equal(
    rows(sentOn, stuck),
    '10.244.1.1:8080  -  -  ready  yes  0  0  3',
    'connections that nobody answers have a column',
  );
});

test('what another Service has, or the kernel refused, is not promised to be mended', () => {
  const other = { ...held, kernel: 'other data' as const, found: '10.96.0.1 . tcp . 80 : 0:2002' };
  const why = 'nft-element external-ports4 192.0.2.1 . tcp . 80 is wanted otherwise by service default/first';
  const lines = told([report(sentOn, [endpoint({})], { elements: [held, other], state: 'error', why })]);
  assert.ok(lines.includes(`not in force  ${why}`), lines.join('\n'));
  assert.ok(lines.includes('KERNEL of n1: 1 of 2 elements not as planned; why is told at the top'), lines.join('\n'));
});

test('what the kernel refused, and a plan that is not written yet, stand at the top', () => {
  const error = told([report(sentOn, [], { state: 'error', why: 'EINVAL\u001b[31m' })]);
  assert.ok(error.includes('not in force  EINVAL\\x1b[31m'), error.join('\n'));
  assert.ok(told([report(sentOn, [], { state: 'pending' })]).includes('plan  about to be written to the kernel'));
});
