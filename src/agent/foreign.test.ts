import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { makeIpSet, whyNoIpSets } from '../foreign/testkit/ipsets.ts';
import * as layouts from '../foreign/testkit/layouts.ts';
import type { Family } from '../net/ip.ts';
import { run } from '../testing/judge.ts';
import { needsRoot } from '../testing/root.ts';
import { claimed, clear, foreignRules, told, World, write } from './testkit/foreign-world.ts';
import { TestNode } from './testkit/node.ts';

/** The commands of all fixes, when each can be run here as it stands. */
function fixes(problems: readonly string[]): string[] {
  const commands = problems.flatMap((problem) => (problem.split('; mend it with: ')[1] ?? '').split(' && '));
  return commands.every((command) => /^(ip6?tables(-legacy)?|nft) /.test(command)) ? commands : [];
}

const own = (rules: string): string => `nft -f - <<'END'\n${rules}\nEND`;

/** Rules as others write them, and the problems that podnet is to name, each by its beginning. */
const cases: {
  name: string;
  rules: readonly string[];
  problems: RegExp[];
  legacy?: boolean;
  /** Sets of ip_set that the rules name. */
  ipsets?: Readonly<Record<string, readonly [Family, ...prefixes: string[]]>>;
}[] = [
  { name: 'nobody else', rules: [], problems: [] },
  { name: 'rules that hinder no pod', rules: layouts.harmless, problems: [] },
  {
    name: 'Docker, IPv4',
    rules: layouts.dockerIpv4,
    problems: [
      /^table ip filter chain FORWARD policy drop \(of Docker\) drops IPv4 packets of .*iptables -I DOCKER-USER -s 10\.1\.0\.0\/16 -j ACCEPT && iptables -I DOCKER-USER -d 10\.1\.0\.0\/16 -j ACCEPT$/,
    ],
  },
  {
    name: 'Docker, both families',
    rules: [...layouts.dockerIpv4, ...layouts.dockerIpv6],
    problems: [
      /^table ip filter chain FORWARD policy drop \(of Docker\)/,
      /^table ip6 filter chain FORWARD policy drop \(of Docker\) .* ip6tables -I DOCKER-USER -s fd01::\/48/,
    ],
  },
  {
    name: 'Docker 28 (DOCKER-FORWARD), both families',
    rules: [...layouts.docker28Ipv4, ...layouts.docker28Ipv6],
    problems: [
      /^table ip filter chain FORWARD policy drop \(of Docker\) drops IPv4 packets of .* iptables -I DOCKER-USER -s 10\.1\.0\.0\/16/,
      /^table ip6 filter chain FORWARD policy drop \(of Docker\) drops IPv6 packets of .* ip6tables -I DOCKER-USER -s fd01::\/48/,
    ],
  },
  {
    name: 'Docker 28.0.0 (ipset), both families',
    ipsets: { 'docker-ext-bridges-v4': ['ipv4', '172.17.0.0/16'], 'docker-ext-bridges-v6': ['ipv6', 'fd17::/64'] },
    rules: [
      ...layouts.dockerWithIpset('iptables-nft', '172.17.0.0/16', 'docker-ext-bridges-v4'),
      ...layouts.dockerWithIpset('ip6tables-nft', 'fd17::/64', 'docker-ext-bridges-v6'),
    ],
    problems: [
      /^table ip filter chain FORWARD policy drop \(of Docker\) drops IPv4 packets of .* iptables -I DOCKER-USER -s 10\.1\.0\.0\/16/,
      /^table ip6 filter chain FORWARD policy drop \(of Docker\) drops IPv6 packets of .* ip6tables -I DOCKER-USER -s fd01::\/48/,
    ],
  },
  { name: 'Docker 29 by nftables', rules: layouts.dockerNft, problems: [] },
  {
    name: 'a set of ip_set with an exception',
    ipsets: { blocked: ['ipv4', '10.1.0.0/16', '!10.1.1.0/24'] },
    rules: ['iptables-nft -A FORWARD -m set --match-set blocked dst -j DROP'],
    problems: [
      /^table ip filter chain FORWARD rule handle \d+: "match-set blocked dst drop" drops IPv4 packets of pods of this node to each other, of /,
    ],
  },
  {
    name: 'Docker by iptables-legacy',
    rules: layouts.dockerLegacy,
    legacy: true,
    problems: [
      /^iptables-legacy table ip filter chain FORWARD policy drop \(of Docker\) drops IPv4 packets of .*iptables-legacy -I DOCKER-USER -s/,
    ],
  },
  {
    name: 'ufw',
    rules: layouts.ufw,
    problems: [
      /^table ip filter chain FORWARD policy drop \(of ufw\) .*ufw route allow from 10\.1\.0\.0\/16 && ufw route allow to 10\.1/,
      /^table ip filter chain INPUT policy drop \(of ufw\) drops IPv4 packets of pods to this node's DNS; mend it with: ufw allow from 10\.1\.0\.0\/16$/,
      /^table ip6 filter chain FORWARD policy drop \(of ufw\)/,
      /^table ip6 filter chain INPUT policy drop \(of ufw\)/,
    ],
  },
  {
    name: 'firewalld',
    rules: layouts.firewalld,
    problems: [
      /^table inet firewalld chain filter_FWD_public rule handle \d+ \(called from filter_FORWARD\): "reject with icmpx admin-prohibited" \(of firewalld\) rejects IPv4 and IPv6 packets of .*firewall-cmd --permanent --zone=trusted --add-source=10\.1\.0\.0\/16/,
      /^table inet firewalld chain filter_IN_public rule handle \d+ \(called from filter_INPUT\): "reject with icmpx admin-prohibited"/,
    ],
  },
  {
    name: 'kube-proxy of mode iptables',
    rules: layouts.kubeProxyIptables,
    problems: [
      /^table ip nat chain KUBE-SERVICES rule handle \d+ \(called from PREROUTING\): ".*ip daddr 10\.96\.0\.1 .*jump KUBE-SVC-NPX46M4PTMTKRN6Y" \(of kube-proxy\) translates the same Services/,
    ],
  },
  {
    name: 'kube-proxy of mode nftables',
    rules: layouts.kubeProxyNft,
    problems: [/^table ip kube-proxy map service-ips \(1 Service ports\) \(of kube-proxy\) translates the same Services/],
  },
  {
    name: 'UDP of one family in postrouting, by a mark',
    rules: [
      'iptables-nft -t mangle -A PREROUTING -s 10.1.0.0/16 -p udp -j MARK --set-xmark 0x10/0xff',
      own(
        'table inet late { chain out { type filter hook postrouting priority 200; policy accept; meta mark & 0xf0 == 0x10 jump away; }; chain away { meta nfproto ipv4 oifname "pod*" drop; }; }',
      ),
    ],
    problems: [
      /^table inet late chain away rule handle \d+ \(called from out\): "meta nfproto ipv4 oifname "pod\*" drop" drops IPv4 UDP packets/,
    ],
  },
];

test(
  "F41, F42: what would drop pods' packets is named with its rule, STATUS answers 50 with it, real packets do as told, and nothing of others is touched",
  needsRoot,
  async (t) => {
    await using world = await World.make();
    const { node, questions } = world;
    const noIpsets = whyNoIpSets(node.ns.ns) ?? false;
    for (const { name, rules, problems, ipsets } of cases) {
      await t.test(name, { skip: ipsets !== undefined && noIpsets }, async (t) => {
        t.after(() => clear(node));
        for (const [set, [family, ...elements]] of Object.entries(ipsets ?? {})) makeIpSet(node.ns.ns, set, family, elements);
        write(node, rules);
        const before = foreignRules(node);
        const found = await told(node);
        assert.equal(found.problems.length, problems.length, found.problems.join('\n'));
        for (const [i, problem] of problems.entries()) assert.match(found.problems[i]!, problem);
        const claims = claimed(questions, found.problems);
        assert.deepEqual(await world.lost(new Set(claims)), claims);

        const { code, json } = await node.cni({ command: 'STATUS' });
        if (problems.length === 0) assert.equal(code, 0, JSON.stringify(json));
        else {
          assert.deepEqual([code, json.code], [1, 50]);
          for (const problem of found.problems) assert.ok(String(json.msg).includes(problem), `${json.msg}`);
        }
        assert.equal(node.status().ready, true, 'CNI9: ADD still serves');
        assert.equal(foreignRules(node), before, 'SD30');
        const commands = fixes(found.problems);
        if (commands.length > 0) {
          write(node, commands);
          assert.deepEqual((await told(node)).problems, [], 'mended as it was told');
          assert.deepEqual(await world.lost(new Set()), []);
          assert.equal((await node.cni({ command: 'STATUS' })).code, 0);
        }
        clear(node);
        assert.deepEqual((await told(node)).problems, []);
      });
    }
  },
);

test(
  "F42: another configuration before podnet's, links and chains of other pod networks are told, each as what it is",
  needsRoot,
  async () => {
    await using node = await TestNode.make();
    await node.startReady();
    const { confDir } = node.config.cni;
    mkdirSync(confDir, { recursive: true });
    writeFileSync(`${confDir}/20-later.conflist`, '{}');
    writeFileSync(`${confDir}/05-note.txt`, '');
    run(node.ns.path, 'ip', 'link', 'add', 'flannel.1', 'type', 'bridge');
    write(node, [
      'iptables-nft -N cali-FORWARD',
      'iptables-nft -A FORWARD -j cali-FORWARD',
      'iptables-nft -t nat -N KUBE-SERVICES',
    ]);
    const seen = await told(node);
    assert.deepEqual(seen.problems, []);
    assert.deepEqual(seen.warnings, [
      'table ip nat chain KUBE-SERVICES (of kube-proxy) is a leftover: it translates nothing; mend it with: ' +
        'kubectl -n kube-system delete daemonset kube-proxy, then on each node: kube-proxy --cleanup',
      'table ip filter chain cali-FORWARD (of Calico) is a leftover of another pod network; mend it with: restart the node',
      'link flannel.1 (of Flannel) is a leftover of another pod network; mend it with: restart the node',
    ]);
    run(node.ns.path, 'ip', 'link', 'set', 'flannel.1', 'up');
    writeFileSync(`${confDir}/05-calico.conflist`, '{}');
    const { problems, warnings } = await told(node);
    assert.match(warnings.at(-1)!, /^link flannel\.1 \(of Flannel\) is up: another pod network may be at work/);
    assert.deepEqual(problems, [
      `the CNI configuration ${confDir}/05-calico.conflist comes before 10-podnet.conflist: the container runtime gives pods its network, not podnet's; ` +
        `mend it with: mv ${confDir}/05-calico.conflist ${confDir}/05-calico.conflist.off`,
    ]);
    const { json } = await node.cni({ command: 'STATUS' });
    assert.equal(json.code, 50);
    rmSync(`${confDir}/05-calico.conflist`);
    // libcni passes folders by, and takes what is hidden.
    mkdirSync(`${confDir}/05-calico.conf`);
    assert.deepEqual((await told(node)).problems, []);
    writeFileSync(`${confDir}/.05-hidden.conf`, '{}');
    assert.match((await told(node)).problems.join(), /net\.d\/\.05-hidden\.conf comes before/);
    rmSync(`${confDir}/.05-hidden.conf`);
    assert.deepEqual((await told(node)).problems, []);
    assert.ok(node.log.some((line) => line.startsWith('solved: problem: the CNI configuration')));
  },
);

test(
  'CNI9: behind a bridge it is told alike, and ADD still serves while STATUS says that it should not be asked',
  needsRoot,
  async () => {
    await using world = await World.make({ attach: 'bridge' });
    const { node, questions } = world;
    write(node, [
      own(
        'table ip theirs { chain fw { type filter hook forward priority 5; policy accept; iifname "cbr0" oifname "eth0" ip protocol tcp drop; }; }',
      ),
    ]);
    const { problems } = await told(node);
    assert.equal(problems.length, 1, problems.join('\n'));
    // The answers to those outside leave by the same way.
    assert.match(
      problems[0]!,
      /^table ip theirs chain fw rule handle \d+: "iifname "cbr0" oifname "eth0" ip protocol tcp drop" drops IPv4 TCP packets of/,
    );
    const claims = claimed(questions, problems);
    assert.deepEqual(claims, [
      'IPv4 tcp pods of other nodes to pods of this one',
      'IPv4 tcp pods to Services',
      'IPv4 tcp pods to pods of other nodes',
    ]);
    // The Service's only endpoint is here: its packets do not leave.
    const here = claims.filter((claim) => !claim.endsWith('Services'));
    assert.deepEqual(await world.lost(new Set(here)), here);
    assert.equal((await node.cni({ command: 'STATUS' })).json.code, 50);
    await node.addPod('c');
  },
);
