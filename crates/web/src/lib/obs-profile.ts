/** A profile that OBS's Profile → Import accepts: a folder, here in a zip. */

import { strToU8, zipSync } from 'fflate';
import { RECOMMENDED } from './recommended';

export interface ObsTarget {
  slug: string;
  server: string;
  key: string;
}

function basicIni(name: string): string {
  const sections: Record<string, Record<string, string | number | boolean>> = {
    General: { Name: name },
    Output: { Mode: 'Advanced' },
    AdvOut: {
      Encoder: 'obs_x264',
      AudioEncoder: 'ffmpeg_aac',
      ApplyServiceSettings: true,
      UseRescale: false,
      TrackIndex: 1,
      Track1Bitrate: RECOMMENDED.audioKbps,
    },
    Video: { BaseCX: 1920, BaseCY: 1080, OutputCX: 1920, OutputCY: 1080, FPSType: 0, FPSCommon: 30 },
    Audio: { SampleRate: 48000, ChannelSetup: 'Stereo' },
  };
  return Object.entries(sections)
    .map(([section, values]) => {
      const lines = Object.entries(values).map(([key, value]) => `${key}=${value}`);
      return `[${section}]\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** The files by name, as OBS 29 and later write them. */
export function profileFiles({ slug, server, key }: ObsTarget): Record<string, string> {
  const name = `Streamr-${slug}`;
  const service = { type: 'rtmp_custom', settings: { server, key, use_auth: false, bwtest: false } };
  const encoder = {
    bitrate: RECOMMENDED.videoKbps,
    keyint_sec: RECOMMENDED.keyframeS,
    rate_control: 'CBR',
    preset: RECOMMENDED.preset,
    profile: 'high',
    tune: '',
  };
  return {
    [`${name}/basic.ini`]: basicIni(name),
    [`${name}/service.json`]: JSON.stringify(service, null, 4),
    [`${name}/streamEncoder.json`]: JSON.stringify(encoder, null, 4),
  };
}

export function profileZip(target: ObsTarget): Blob {
  const files = Object.entries(profileFiles(target)).map(([name, text]) => [name, strToU8(text)] as const);
  const zip = zipSync(Object.fromEntries(files), { level: 0 });
  return new Blob([zip as Uint8Array<ArrayBuffer>], { type: 'application/zip' });
}
