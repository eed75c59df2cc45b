import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service } from '../../kube/types.ts';
import { clusterDnsPod } from '../../policy/cluster-dns.ts';
import { serviceView } from '../watch/views.ts';

test('NP17: cluster DNS has its addresses to policies in clusters of one family and of two, as the agent keeps its Service', () => {
  const addressesOf = (clusterIPs: string[]): string[] => {
    const ports = [{ name: 'dns', port: 53, protocol: 'UDP' }];
    const service: Service = {
      metadata: { namespace: 'kube-system', name: 'kube-dns' },
      spec: { type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, ports },
    };
    return clusterDnsPod(serviceView(service)).addresses.map(String);
  };
  for (const clusterIPs of [['10.96.0.10'], ['fd00:10:96::a'], ['10.96.0.10', 'fd00:10:96::a']])
    assert.deepEqual(addressesOf(clusterIPs), clusterIPs);
});
