/** Configuration of a lab node's runner, as it stands in its file: JSON. */
export interface RunnerConfig {
  nodeName: string;
  kubeconfig: string;
  /** The node's InternalIPs, primary family first. */
  addresses: string[];
  labels: Record<string, string>;
  /** A pod's network namespace is bound to this path followed by the sandbox's short id, e.g. `/run/netns/podnet-demo-node-1-`. */
  netnsPrefix: string;
  /** Everything of the pods: a folder for each, with logs, hosts, resolv.conf, volumes, container roots and what a restarted runner must know. */
  stateDir: string;
  cni: { binDir: string; confDir: string };
  /** Unix socket of kubelet's streaming paths and of `GET /pods`. */
  socketPath: string;
  clusterDns: string[];
  clusterDomain: string;
  /** Read for dnsPolicy Default, e.g. `/etc/resolv.conf`. */
  hostResolvConf: string;
  /** Image patterns and what runs for them, before the built-in list. */
  images: ImageMapping[];
  maxPods: number;
}

/** What runs for an image. The first entry whose pattern matches counts; when none does, a stand-in. */
export interface ImageMapping {
  /** Image name with or without registry, tag or digest; `*` matches any characters. */
  image: string;
  /** A static executable on this machine that becomes the whole of the image's root, e.g. `/bin/busybox`; its applets are linked. */
  busybox?: string;
  /** A directory on this machine that is the lower layer of the container's root. */
  rootfs?: string;
  /** Defaults of the image. */
  entrypoint?: string[];
  command?: string[];
}

/** One pod in the answer to `GET /pods`. */
export interface RunnerPod {
  namespace: string;
  name: string;
  uid: string;
  /** Path of the network namespace: the node's own with hostNetwork. */
  netns: string;
  hostNetwork: boolean;
  /** As the CNI result gave them, primary first. */
  podIPs: string[];
  containers: {
    name: string;
    image: string;
    kind: 'process' | 'stand-in';
    state: 'waiting' | 'running' | 'terminated';
    pid?: number;
  }[];
}
