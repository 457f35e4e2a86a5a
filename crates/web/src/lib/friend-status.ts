/** What the states of a friend's node mean, in words. */

import type { IconName } from '../components/shared/Icon.svelte';
import type { FriendStatus } from './api/helpers';

interface Words {
  name: string;
  meaning: string;
  icon: IconName;
}

export const STATUS_WORDS: Record<FriendStatus, Words> = {
  online: { name: 'Online', meaning: 'Ready to carry, or carrying.', icon: 'good' },
  offline: { name: 'Offline', meaning: 'The program doesn’t run, or has no network.', icon: 'clock' },
  paused: { name: 'Paused', meaning: 'Gets no viewers until it goes on.', icon: 'pause' },
  draining: { name: 'Finishing', meaning: 'Serves whom it has, and takes nobody new.', icon: 'clock' },
  quarantined: { name: 'Set aside', meaning: 'Its bytes were wrong in a check, so it gets no viewers.', icon: 'bad' },
};
