import { check, errnoName } from './errors.ts';
import { cString, errno, sys } from './sys.ts';

// include/uapi/linux/mount.h and umount2(2)
const mntDetach = 2;
const umountNofollow = 8;

/**
 * Takes away what is mounted on the path, also while it is in use; the topmost mount if there are several. Not a mount point, or gone, is success.
 * @throws KernelError EPERM without root
 */
export function unmount(path: string): void {
  if (sys.umount2(cString(path), mntDetach | umountNofollow) === 0) return;
  if (!['EINVAL', 'ENOENT'].includes(errnoName(errno()))) check(`umount ${path}`, -1);
}
