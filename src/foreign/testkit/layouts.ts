/** Rules of well-known software, in the order it writes them: each line is a command, run by sh in the node's namespace. */

const docker = (tool: string, subnet: string): string[] => [
  ...['DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2', 'DOCKER-USER'].map((chain) => `${tool} -N ${chain}`),
  `${tool} -A FORWARD -j DOCKER-USER`,
  `${tool} -A FORWARD -j DOCKER-ISOLATION-STAGE-1`,
  `${tool} -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  `${tool} -A FORWARD -o docker0 -j DOCKER`,
  `${tool} -A FORWARD -i docker0 ! -o docker0 -j ACCEPT`,
  `${tool} -A FORWARD -i docker0 -o docker0 -j ACCEPT`,
  `${tool} -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2`,
  `${tool} -A DOCKER-ISOLATION-STAGE-1 -j RETURN`,
  `${tool} -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP`,
  `${tool} -A DOCKER-ISOLATION-STAGE-2 -j RETURN`,
  `${tool} -A DOCKER-USER -j RETURN`,
  `${tool} -P FORWARD DROP`,
  `${tool} -t nat -N DOCKER`,
  `${tool} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER`,
  `${tool} -t nat -A OUTPUT ! -d ${subnet.includes(':') ? '::1/128' : '127.0.0.0/8'} -m addrtype --dst-type LOCAL -j DOCKER`,
  `${tool} -t nat -A POSTROUTING -s ${subnet} ! -o docker0 -j MASQUERADE`,
  `${tool} -t nat -A DOCKER -i docker0 -j RETURN`,
];

/** Docker 20 to 27: FORWARD with policy DROP, DOCKER-USER before all else. */
export const dockerIpv4 = docker('iptables-nft', '172.17.0.0/16');
export const dockerIpv6 = docker('ip6tables-nft', 'fd17::/64');
/** As above by iptables-legacy. */
export const dockerLegacy = docker('iptables-legacy', '172.17.0.0/16');

const isolation = (tool: string): string[] => [
  `${tool} -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2`,
  `${tool} -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP`,
];

const dockerNat = (tool: string, subnet: string): string[] => [
  `${tool} -t nat -N DOCKER`,
  `${tool} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER`,
  `${tool} -t nat -A OUTPUT ! -d ${subnet.includes(':') ? '::1/128' : '127.0.0.0/8'} -m addrtype --dst-type LOCAL -j DOCKER`,
  `${tool} -t nat -A POSTROUTING -s ${subnet} ! -o docker0 -j MASQUERADE`,
];

/** Docker 28.0.0: the subnets of its bridges in a set of ip_set, which must be there (moby's libnetwork/drivers/bridge/setup_ip_tables_linux.go at v28.0.0). */
export const dockerWithIpset = (tool: string, subnet: string, set: string): string[] => [
  ...['DOCKER', 'DOCKER-ISOLATION-STAGE-1', 'DOCKER-ISOLATION-STAGE-2', 'DOCKER-USER'].map((chain) => `${tool} -N ${chain}`),
  `${tool} -A FORWARD -j DOCKER-USER`,
  `${tool} -A FORWARD -m set --match-set ${set} dst -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  `${tool} -A FORWARD -j DOCKER-ISOLATION-STAGE-1`,
  `${tool} -A FORWARD -m set --match-set ${set} dst -j DOCKER`,
  `${tool} -A FORWARD -i docker0 -j ACCEPT`,
  `${tool} -A DOCKER ! -i docker0 -o docker0 -j DROP`,
  ...isolation(tool),
  `${tool} -A DOCKER-USER -j RETURN`,
  `${tool} -P FORWARD DROP`,
  ...dockerNat(tool, subnet),
];

/** Docker 28.0.1 to 28.5: chains DOCKER-FORWARD, -CT and -BRIDGE; nothing ends DOCKER-USER (moby's daemon/libnetwork/drivers/bridge/internal/iptabler). */
const dockerForward = (tool: string, subnet: string): string[] => [
  ...[
    'DOCKER',
    'DOCKER-BRIDGE',
    'DOCKER-CT',
    'DOCKER-FORWARD',
    'DOCKER-ISOLATION-STAGE-1',
    'DOCKER-ISOLATION-STAGE-2',
    'DOCKER-USER',
  ].map((chain) => `${tool} -N ${chain}`),
  `${tool} -A FORWARD -j DOCKER-USER`,
  `${tool} -A FORWARD -j DOCKER-FORWARD`,
  `${tool} -A DOCKER ! -i docker0 -o docker0 -j DROP`,
  `${tool} -A DOCKER-BRIDGE -o docker0 -j DOCKER`,
  `${tool} -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
  `${tool} -A DOCKER-FORWARD -j DOCKER-CT`,
  `${tool} -A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1`,
  `${tool} -A DOCKER-FORWARD -j DOCKER-BRIDGE`,
  `${tool} -A DOCKER-FORWARD -i docker0 -j ACCEPT`,
  ...isolation(tool),
  `${tool} -P FORWARD DROP`,
  ...dockerNat(tool, subnet),
];
export const docker28Ipv4 = dockerForward('iptables-nft', '172.17.0.0/16');
export const docker28Ipv6 = dockerForward('ip6tables-nft', 'fd17::/64');

/** Docker 29 with `firewall-backend: nftables`, with a container that has a published port (moby's internal/nftabler/testdata): it drops only what is for its bridges. */
export const dockerNft = [
  `nft -f - <<'END'
table ip docker-bridges {
  map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 }; }
  map filter-forward-out-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-out__docker0 }; }
  map nat-postrouting-out-jumps { type ifname : verdict; elements = { "docker0" : jump nat-postrouting-out__docker0 }; }
  chain filter-FORWARD {
    type filter hook forward priority filter; policy accept;
    oifname vmap @filter-forward-in-jumps
    iifname vmap @filter-forward-out-jumps
  }
  chain nat-OUTPUT {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output
  }
  chain nat-POSTROUTING { type nat hook postrouting priority srcnat; policy accept; iifname vmap @nat-postrouting-out-jumps; }
  chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept; fib daddr type local counter jump nat-prerouting-and-output; }
  chain nat-prerouting-and-output { iifname != "docker0" tcp dport 18080 counter dnat to 172.17.0.2:80 comment "DNAT"; }
  chain raw-PREROUTING {
    type filter hook prerouting priority raw; policy accept;
    ip daddr 172.17.0.2 iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"
  }
  chain filter-forward-in__docker0 {
    ct state established,related counter accept
    iifname "docker0" counter accept comment "ICC"
    ip daddr 172.17.0.2 tcp dport 80 counter accept
    counter drop comment "UNPUBLISHED PORT DROP"
  }
  chain filter-forward-out__docker0 { ct state established,related counter accept; counter accept comment "OUTGOING"; }
  chain nat-postrouting-out__docker0 { oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade comment "MASQUERADE"; }
}
END`,
];

/** `ufw enable` of Debian with its defaults (deny incoming, deny routed), as far as it concerns what passes; ufw-framework(8). */
export const ufw = (['', '6'] as const).flatMap((version) => {
  const tool = `ip${version}tables-nft`;
  const chain = (name: string): string => `ufw${version}-${name}`;
  const names = ['before-logging', 'before', 'after', 'after-logging', 'reject', 'track'].flatMap((part) =>
    ['input', 'output', 'forward'].map((hook) => chain(`${part}-${hook}`)),
  );
  const user = ['user-input', 'user-output', 'user-forward', 'not-local'].map(chain);
  return [
    ...[...names, ...user].map((name) => `${tool} -N ${name}`),
    ...['INPUT', 'OUTPUT', 'FORWARD'].flatMap((base) =>
      ['before-logging', 'before', 'after', 'after-logging', 'reject', 'track'].map(
        (part) => `${tool} -A ${base} -j ${chain(`${part}-${base.toLowerCase()}`)}`,
      ),
    ),
    `${tool} -A ${chain('before-input')} -i lo -j ACCEPT`,
    `${tool} -A ${chain('before-input')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `${tool} -A ${chain('before-input')} -m conntrack --ctstate INVALID -j DROP`,
    // Neighbour discovery.
    ...(version === '6' ? [`${tool} -A ${chain('before-input')} -p ipv6-icmp -j ACCEPT`] : []),
    `${tool} -A ${chain('before-input')} -j ${chain('not-local')}`,
    `${tool} -A ${chain('before-input')} -j ${chain('user-input')}`,
    `${tool} -A ${chain('not-local')} -m addrtype --dst-type LOCAL -j RETURN`,
    `${tool} -A ${chain('not-local')} -m addrtype --dst-type MULTICAST -j RETURN`,
    `${tool} -A ${chain('not-local')} -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "`,
    `${tool} -A ${chain('not-local')} -j DROP`,
    `${tool} -A ${chain('before-output')} -o lo -j ACCEPT`,
    `${tool} -A ${chain('before-output')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `${tool} -A ${chain('before-output')} -j ${chain('user-output')}`,
    `${tool} -A ${chain('track-output')} -p tcp -m conntrack --ctstate NEW -j ACCEPT`,
    `${tool} -A ${chain('track-output')} -p udp -m conntrack --ctstate NEW -j ACCEPT`,
    `${tool} -A ${chain('before-forward')} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `${tool} -A ${chain('before-forward')} -j ${chain('user-forward')}`,
    `${tool} -A ${chain('user-input')} -p tcp --dport 22 -j ACCEPT`,
    `${tool} -P INPUT DROP`,
    `${tool} -P FORWARD DROP`,
  ];
});

const nft = (text: string): string => `nft -f - <<'END'\n${text}\nEND`;

/** firewalld 1.3 with backend nftables and its zone public, as `nft list table inet firewalld` shows it. */
export const firewalld = [
  nft(`table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; jump mangle_PREROUTING_ZONES; }
  chain mangle_PREROUTING_ZONES { goto mangle_PRE_public; }
  chain mangle_PRE_public { }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
  chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; policy accept; }
  chain filter_PREROUTING {
    type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state { invalid } drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state { invalid } drop
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24, 2002:a00::/24 } reject with icmpv6 addr-unreachable
    jump filter_FORWARD_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_OUTPUT {
    type filter hook output priority filter + 10; policy accept;
    ct state { established, related } accept
    oifname "lo" accept
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24, 2002:a00::/24 } reject with icmpv6 addr-unreachable
    jump filter_OUTPUT_POLICIES_pre
    jump filter_OUTPUT_POLICIES_post
  }
  chain filter_OUTPUT_POLICIES_pre { }
  chain filter_OUTPUT_POLICIES_post { }
  chain filter_INPUT_ZONES { goto filter_IN_public; }
  chain filter_FORWARD_ZONES { goto filter_FWD_public; }
  chain filter_IN_public {
    jump filter_IN_public_allow
    meta l4proto { icmp, ipv6-icmp } accept
    reject with icmpx admin-prohibited
  }
  chain filter_IN_public_allow { tcp dport 22 accept; }
  chain filter_FWD_public { reject with icmpx admin-prohibited; }
}`),
];

/** kube-proxy in mode iptables, with the Service `kubernetes` and one more. */
export const kubeProxyIptables = (() => {
  const tool = 'iptables-nft';
  const nat = `${tool} -t nat`;
  const [svc, sep1, sep2] = ['KUBE-SVC-NPX46M4PTMTKRN6Y', 'KUBE-SEP-23Y66C2VAJ3WDEMI', 'KUBE-SEP-Z3WRRQXK7PYJNT52'];
  return [
    ...['KUBE-SERVICES', 'KUBE-NODEPORTS', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ', svc, sep1, sep2].map(
      (chain) => `${nat} -N ${chain}`,
    ),
    ...['KUBE-FORWARD', 'KUBE-SERVICES', 'KUBE-EXTERNAL-SERVICES', 'KUBE-FIREWALL', 'KUBE-NODEPORTS', 'KUBE-PROXY-FIREWALL'].map(
      (chain) => `${tool} -N ${chain}`,
    ),
    `${nat} -A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    `${nat} -A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES`,
    `${nat} -A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING`,
    `${nat} -A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000`,
    `${nat} -A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN`,
    `${nat} -A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0`,
    `${nat} -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
    `${nat} -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" --dport 443 -j ${svc}`,
    `${nat} -A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`,
    `${nat} -A ${svc} -m statistic --mode random --probability 0.50000000000 -j ${sep1}`,
    `${nat} -A ${svc} -j ${sep2}`,
    `${nat} -A ${sep1} -s 192.0.2.11/32 -j KUBE-MARK-MASQ`,
    `${nat} -A ${sep1} -p tcp -j DNAT --to-destination 192.0.2.11:6443`,
    `${nat} -A ${sep2} -p tcp -j DNAT --to-destination 192.0.2.12:6443`,
    `${tool} -A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD`,
    `${tool} -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP`,
    `${tool} -A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT`,
    `${tool} -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `${tool} -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP`,
  ];
})();

/** kube-proxy in mode nftables (1.33), with the Service `kubernetes`. */
export const kubeProxyNft = [
  nft(`table ip kube-proxy {
  comment "rules for kube-proxy"
  set cluster-ips { type ipv4_addr; elements = { 10.96.0.1 } }
  map service-ips {
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = { 10.96.0.1 . tcp . 443 : goto service-2QRHZV4L-default/kubernetes/tcp/https }
  }
  map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
  chain mark-for-masquerade { meta mark set mark | 0x4000; }
  chain masquerading {
    meta mark & 0x4000 == 0 return
    meta mark set mark ^ 0x4000
    masquerade fully-random
  }
  chain endpoint-5OJB2KTY-default/kubernetes/tcp/https__192.0.2.11/6443 {
    ip saddr 192.0.2.11 jump mark-for-masquerade
    meta l4proto tcp dnat to 192.0.2.11:6443
  }
  chain service-2QRHZV4L-default/kubernetes/tcp/https {
    ip daddr 10.96.0.1 tcp dport 443 ip saddr != 10.1.0.0/16 jump mark-for-masquerade
    numgen random mod 1 vmap { 0 : goto endpoint-5OJB2KTY-default/kubernetes/tcp/https__192.0.2.11/6443 }
  }
  chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
  chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services; }
  chain cluster-ips-check {
    ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
  }
  chain filter-input { type filter hook input priority -110; policy accept; ct state new jump service-endpoints-check; }
  chain filter-forward { type filter hook forward priority -110; policy accept; ct state new jump service-endpoints-check; ct state new jump cluster-ips-check; }
  chain nat-prerouting { type nat hook prerouting priority dstnat; policy accept; jump services; }
  chain nat-output { type nat hook output priority -100; policy accept; jump services; }
  chain nat-postrouting { type nat hook postrouting priority srcnat; policy accept; jump masquerading; }
}`),
];

/** Rules of a careful administrator that hinder no pod: other links, addresses and ports, rate limits that only log, a policy of accept. */
export const harmless = [
  nft(`table inet filter {
  set bogons { type ipv4_addr; flags interval; elements = { 0.0.0.0/8, 127.0.0.0/8, 198.18.0.0/15, 240.0.0.0/4 } }
  chain input {
    type filter hook input priority filter; policy accept;
    ct state vmap { established : accept, related : accept, invalid : drop }
    iifname { "docker0", "virbr*" } udp dport 53 accept
    tcp dport { 25, 111, 3000-3010 } reject with tcp reset
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    ip saddr @bogons drop
    iifname "virbr0" oifname != "virbr0" ct state new reject
    ip daddr . tcp dport { 10.1.0.0/16 . 1-1023 } limit rate 5/second log prefix "low "
    meta mark & 0xff == 0x17 drop
    ip6 nexthdr 60 drop
    tcp flags & (fin | syn) == (fin | syn) drop
    fib daddr type { broadcast, multicast } drop
  }
}`),
  'iptables-nft -A FORWARD -p tcp -m multiport --dports 25,137:139,445 -j DROP',
  'iptables-nft -A FORWARD -m addrtype --src-type MULTICAST -j DROP',
  'iptables-nft -A FORWARD -m iprange --src-range 10.9.0.1-10.9.0.77 -j REJECT',
  'iptables-nft -A FORWARD -m state --state INVALID -j DROP',
];
