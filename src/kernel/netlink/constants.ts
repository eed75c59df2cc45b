// include/uapi/linux/netlink.h

/** Families of netlink sockets. */
export const netlinkRoute = 0;
export const netlinkNetfilter = 12;

export const nlmsgHeaderLength = 16;

export const nlmsgNoop = 1;
export const nlmsgError = 2;
export const nlmsgDone = 3;
export const nlmsgOverrun = 4;

/** Flags of a request. */
export const nlmFlag = {
  request: 0x1,
  multi: 0x2,
  ack: 0x4,
  dumpInterrupted: 0x10,
  /** GET: all, instead of one */
  dump: 0x300,
  /** NEW: change what is there */
  replace: 0x100,
  /** NEW: fail if it is there */
  excl: 0x200,
  /** NEW: make it if it is not there */
  create: 0x400,
  /** NEW: add to the end of a list */
  append: 0x800,
  /** DELETE: many at once */
  bulk: 0x200,
} as const;

/** Flags of an NLMSG_ERROR. */
export const nlmAckCapped = 0x100;
export const nlmAckTlvs = 0x200;

export const solNetlink = 270;
export const netlinkOption = {
  addMembership: 1,
  dropMembership: 2,
  /** NETLINK_NO_ENOBUFS */
  noEnobufs: 5,
  /** NETLINK_CAP_ACK: errors come without a copy of the request */
  capAck: 10,
  /** NETLINK_EXT_ACK: errors come with text */
  extAck: 11,
  /** NETLINK_GET_STRICT_CHK: dumps are filtered by what the request says */
  getStrictCheck: 12,
} as const;
