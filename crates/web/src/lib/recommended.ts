/** What a stream should be made with; the Connect page says it and the OBS profile sets it. */
export const RECOMMENDED = { videoKbps: 5000, audioKbps: 160, keyframeS: 2, preset: 'veryfast' } as const;
