"""How the shipped model is made: corpus, built material, fitting; nothing above imports it."""
