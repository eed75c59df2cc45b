export { bridgeCounters, type DoorNode, type Guest, linkLocalOf, planDoor, planGuest, type Reason, reasons } from './plan.ts';
