"""What can be done at the gateway: one async function a verb."""
