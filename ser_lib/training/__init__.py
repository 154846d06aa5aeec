"""One model on one fold: settings, the loop of epochs, fitting, what is known of a speaker."""
