export type { TunDevice } from "./tun-device.ts";
