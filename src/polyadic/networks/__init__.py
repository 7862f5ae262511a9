"""Networks of torch and their training: data-parallel, resumable at any step, whatever they are for."""
