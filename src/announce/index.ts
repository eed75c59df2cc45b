export { Liveness } from './liveness.ts';
export type { AnnounceNode } from './plan.ts';
export { AnnouncementPlanner, announcementOwner } from './planner.ts';
export { Repeats } from './repeats.ts';
export { excludeLabel, loadBalancerClass, wantedOf } from './service.ts';
export { Speaker } from './speaker.ts';
